package desk

import (
	"testing"

	repliesv1 "example.com/deskhand-client/gen/deskhand/replies/v1"
)

func started(attempt int32) *repliesv1.ReplyEvent {
	return &repliesv1.ReplyEvent{Event: &repliesv1.ReplyEvent_Started_{
		Started: &repliesv1.ReplyEvent_Started{ReplyId: "r", Attempt: attempt},
	}}
}

func restarted(attempt int32) *repliesv1.ReplyEvent {
	return &repliesv1.ReplyEvent{Event: &repliesv1.ReplyEvent_Restarted_{
		Restarted: &repliesv1.ReplyEvent_Restarted{Attempt: attempt},
	}}
}

func delta(attempt int32, offset int64, text string) *repliesv1.ReplyEvent {
	return &repliesv1.ReplyEvent{Event: &repliesv1.ReplyEvent_Delta_{
		Delta: &repliesv1.ReplyEvent_Delta{Attempt: attempt, Offset: offset, Text: text},
	}}
}

func given(t *testing.T, events ...*repliesv1.ReplyEvent) *Answer {
	t.Helper()
	answer := &Answer{}
	for _, event := range events {
		if err := answer.Accept(event); err != nil {
			t.Fatal(err)
		}
	}
	return answer
}

func TestPiecesOfTwoStreamsAreJoinedByTheirBytes(t *testing.T) {
	answer := given(t, started(1), delta(1, 0, "Grü"), delta(1, 4, "ße "), started(1), delta(1, 8, "👋"))
	if answer.ReplyID != "r" || answer.Text != "Grüße 👋" || len(answer.Text) != 12 {
		t.Fatalf("%+v", answer)
	}
}

func TestAnAttemptThatIsOverLeavesNothing(t *testing.T) {
	live := given(t, started(1), delta(1, 0, "old"), restarted(2), delta(2, 0, "new"))
	attached := given(t, started(1), delta(1, 0, "old"), started(2), restarted(2), delta(2, 0, "new"))
	for _, answer := range []*Answer{live, attached} {
		if answer.Attempt != 2 || answer.Text != "new" {
			t.Fatalf("%+v", answer)
		}
	}
}

func TestGapsAndRepeatsAndOldAttemptsAreRefused(t *testing.T) {
	for _, wrong := range []*repliesv1.ReplyEvent{delta(1, 4, "x"), delta(1, 2, "x"), delta(2, 3, "x")} {
		answer := given(t, started(1), delta(1, 0, "abc"))
		if err := answer.Accept(wrong); err == nil {
			t.Fatalf("%v was accepted", wrong)
		}
	}
}

func TestOnlyItsOwnEndEndsIt(t *testing.T) {
	interrupted := &repliesv1.ReplyEvent{Event: &repliesv1.ReplyEvent_Interrupted_{
		Interrupted: &repliesv1.ReplyEvent_Interrupted{Reason: "SERVER_STOPPING"},
	}}
	if answer := given(t, started(1), interrupted, &repliesv1.ReplyEvent{}); answer.End != nil {
		t.Fatalf("%v ended it", answer.End)
	}
	cancelled := &repliesv1.ReplyEvent{Event: &repliesv1.ReplyEvent_Cancelled_{
		Cancelled: &repliesv1.ReplyEvent_Cancelled{},
	}}
	if answer := given(t, started(1), cancelled); answer.End != cancelled {
		t.Fatalf("%v", answer.End)
	}
}
