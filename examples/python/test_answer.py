"""python3 -m unittest"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "gen"))

from deskhand.replies.v1.replies_pb2 import ReplyEvent

from answer import Answer


def started(attempt: int) -> ReplyEvent:
    return ReplyEvent(started=ReplyEvent.Started(reply_id="r", attempt=attempt))


def restarted(attempt: int) -> ReplyEvent:
    return ReplyEvent(restarted=ReplyEvent.Restarted(attempt=attempt))


def delta(attempt: int, offset: int, text: str) -> ReplyEvent:
    return ReplyEvent(delta=ReplyEvent.Delta(attempt=attempt, offset=offset, text=text))


def given(*events: ReplyEvent) -> Answer:
    answer = Answer()
    for event in events:
        answer.accept(event)
    return answer


class AnswerTest(unittest.TestCase):
    def test_pieces_of_two_streams_are_joined_by_their_bytes(self) -> None:
        answer = given(started(1), delta(1, 0, "Grü"), delta(1, 4, "ße "), started(1), delta(1, 8, "👋"))
        self.assertEqual((answer.reply_id, answer.text, len(answer.received)), ("r", "Grüße 👋", 12))

    def test_an_attempt_that_is_over_leaves_nothing(self) -> None:
        live = given(started(1), delta(1, 0, "old"), restarted(2), delta(2, 0, "new"))
        attached = given(started(1), delta(1, 0, "old"), started(2), restarted(2), delta(2, 0, "new"))
        for answer in (live, attached):
            self.assertEqual((answer.attempt, answer.text), (2, "new"))

    def test_gaps_and_repeats_and_old_attempts_are_refused(self) -> None:
        for wrong in (delta(1, 4, "x"), delta(1, 2, "x"), delta(2, 3, "x")):
            with self.assertRaises(ValueError):
                given(started(1), delta(1, 0, "abc"), wrong)

    def test_only_its_own_end_ends_it(self) -> None:
        interrupted = ReplyEvent(interrupted=ReplyEvent.Interrupted(reason="SERVER_STOPPING"))
        self.assertIsNone(given(started(1), interrupted, ReplyEvent()).end)
        self.assertTrue(given(started(1), ReplyEvent(cancelled=ReplyEvent.Cancelled())).end.HasField("cancelled"))


if __name__ == "__main__":
    unittest.main()
