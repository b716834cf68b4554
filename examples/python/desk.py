"""A client of Deskhand: deadlines, tokens, repeats that are safe, and answers that survive a broken connection."""

import random
import time
from collections.abc import Callable
from uuid import uuid4

import grpc
from deskhand.accounts.v1.accounts_pb2 import LogInRequest, LogInResponse, RefreshTokenRequest, RefreshTokenResponse
from deskhand.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from deskhand.replies.v1.replies_pb2 import AttachReplyRequest, ReplyEvent, StreamReplyRequest
from deskhand.replies.v1.replies_pb2_grpc import ReplyServiceStub
from deskhand.tickets.v1.tickets_pb2_grpc import TicketServiceStub

from answer import Answer
from problem import LONGEST_WAIT, Problem

# Seconds. A deadline goes with every try of a call: without one, the server's own limit holds, and nothing but it.
CALL_TIMEOUT = 10
STREAM_TIMEOUT = 120
# A repeat gets the same tokens within 10 s of the first try, and must have arrived by then.
REFRESH_TIMEOUT = 4
# A token that is about to expire may have expired when it arrives.
MARGIN = 30
TRIES = 5


class Desk:
    """A connection, and the session of whoever logged in."""

    def __init__(self, address: str):
        # Plain text is for loopback and networks of your own; elsewhere: grpc.secure_channel.
        keepalive = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 10_000)]
        self._channel = grpc.insecure_channel(address, options=keepalive)
        self.auth = AuthServiceStub(self._channel)
        self.tickets = TicketServiceStub(self._channel)
        self.replies = ReplyServiceStub(self._channel)
        # In memory only. Both are as good as a password for as long as they live.
        self._session: LogInResponse | RefreshTokenResponse | None = None

    def close(self) -> None:
        self._channel.close()

    def log_in(self, email: str, password: str) -> None:
        self._session = repeated(self.auth.LogIn, LogInRequest(email=email, password=password))

    def refresh(self) -> None:
        """Gets the next tokens. The old one is used up: sent later, it would end the session.

        Where several threads share a session, only one of them may do this at a time.
        """
        request = RefreshTokenRequest(refresh_token=self._session.refresh_token)
        self._session = repeated(self.auth.RefreshToken, request, tries=2, timeout=REFRESH_TIMEOUT)

    def call(self, method: Callable, request):
        """Makes a call as whoever logged in. Safe for what reads, and for what carries a request_id."""
        try:
            return repeated(method, request, self._credentials)
        except Problem as problem:
            if problem.reason != "TOKEN_EXPIRED":
                raise
        # Our clock is behind the server's.
        self.refresh()
        return repeated(method, request, self._credentials)

    def stream_reply(self, ticket_id: str, on_event: Callable[[ReplyEvent], None]) -> Answer:
        """Asks for an answer and follows it to its end, over as many connections as that takes."""
        answer = Answer()
        # The same in every repeat: it joins the reply that the first one made.
        ask = StreamReplyRequest(ticket_id=ticket_id, request_id=str(uuid4()))
        failures = 0
        while True:
            had = len(answer.received)
            problem = None
            try:
                for response in self._stream(ask, answer):
                    answer.accept(response.event)
                    on_event(response.event)
                    if answer.end:
                        return answer
            except grpc.RpcError as error:
                problem = Problem(error)
                if problem.reason == "TOKEN_EXPIRED":
                    self.refresh()
                elif not problem.passes_soon():
                    raise problem from error
            # The stream is over, the answer is not: the server goes on writing it. Take it up where it was left.
            failures = 1 if len(answer.received) > had else failures + 1
            if failures == TRIES:
                raise problem or TimeoutError(f"reply {answer.reply_id} does not get on")
            time.sleep(pause(failures, problem))

    def _stream(self, ask: StreamReplyRequest, answer: Answer):
        metadata = self._credentials()
        if not answer.reply_id:
            return self.replies.StreamReply(ask, timeout=STREAM_TIMEOUT, metadata=metadata)
        rest = AttachReplyRequest(
            reply_id=answer.reply_id, attempt=answer.attempt, after_offset=len(answer.received)
        )
        return self.replies.AttachReply(rest, timeout=STREAM_TIMEOUT, metadata=metadata)

    def _credentials(self) -> list[tuple[str, str]]:
        if self._session.access_token_expire_time.ToSeconds() < time.time() + MARGIN:
            self.refresh()
        return [("authorization", f"Bearer {self._session.access_token}")]


def repeated(method: Callable, request, credentials=lambda: [], tries: int = TRIES, timeout: float = CALL_TIMEOUT):
    """Makes a call, and makes it again where that may help."""
    for failures in range(1, tries + 1):
        try:
            return method(request, timeout=timeout, metadata=credentials())
        except grpc.RpcError as error:
            problem = Problem(error)
            if not problem.passes_soon() or failures == tries:
                raise problem from error
            time.sleep(pause(failures, problem))


def pause(failures: int, problem: Problem | None) -> float:
    """Longer after each failure, and by chance, lest all clients come back at once; never less than was asked for."""
    by_chance = random.uniform(0, min(LONGEST_WAIT, 0.1 * 2**failures))
    return max(by_chance, (problem and problem.retry_after) or 0)
