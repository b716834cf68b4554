package desk

import (
	"fmt"

	repliesv1 "example.com/deskhand-client/gen/deskhand/replies/v1"
)

// Answer is what is known of a reply so far. It is given every event, whichever stream it came by.
type Answer struct {
	ReplyID string
	Attempt int32
	// Text is the attempt's text so far. Its length in bytes is its offset.
	Text string
	// End is how it ended; nil as long as it has not.
	End *repliesv1.ReplyEvent
}

// Accept takes the next event of a stream.
func (a *Answer) Accept(event *repliesv1.ReplyEvent) error {
	switch told := event.GetEvent().(type) {
	case *repliesv1.ReplyEvent_Started_:
		a.ReplyID = told.Started.GetReplyId()
		a.begin(told.Started.GetAttempt())
	case *repliesv1.ReplyEvent_Restarted_:
		a.begin(told.Restarted.GetAttempt())
	case *repliesv1.ReplyEvent_Delta_:
		delta, at := told.Delta, int64(len(a.Text))
		if delta.GetAttempt() != a.Attempt || delta.GetOffset() != at {
			return fmt.Errorf("%d:%d came, not %d:%d", delta.GetAttempt(), delta.GetOffset(), a.Attempt, at)
		}
		a.Text += delta.GetText()
	case *repliesv1.ReplyEvent_Completed_, *repliesv1.ReplyEvent_Drafted_, *repliesv1.ReplyEvent_Failed_,
		*repliesv1.ReplyEvent_Superseded_, *repliesv1.ReplyEvent_Cancelled_, *repliesv1.ReplyEvent_HandedOff_:
		a.End = event
	}
	// Interrupted ends a stream, not the answer. Kinds that a later version adds are passed over.
	return nil
}

// The text that follows is of this attempt. That of another is void: it must never be joined to it.
func (a *Answer) begin(attempt int32) {
	if attempt != a.Attempt {
		a.Attempt, a.Text = attempt, ""
	}
}
