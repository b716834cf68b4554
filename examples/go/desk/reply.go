package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	repliesv1 "example.com/deskhand-client/gen/deskhand/replies/v1"
)

const streamTimeout = 2 * time.Minute

// StreamReply asks for an answer and follows it to its end, over as many connections as that takes.
func (d *Desk) StreamReply(
	ctx context.Context, ticketID string, onEvent func(*repliesv1.ReplyEvent),
) (*Answer, error) {
	answer := &Answer{}
	// The same in every repeat: it joins the reply that the first one made.
	ask := &repliesv1.StreamReplyRequest{TicketId: ticketID, RequestId: uuid.NewString()}
	for failures := 1; ; failures++ {
		had := len(answer.Text)
		problem, err := d.follow(ctx, ask, answer, onEvent)
		switch {
		case err != nil:
			return nil, err
		case answer.End != nil:
			return answer, nil
		case problem != nil && problem.Reason == tokenExpired:
			if err := d.Refresh(ctx); err != nil {
				return nil, err
			}
		case problem != nil && !problem.passesSoon():
			return nil, problem
		}
		// The stream is over, the answer is not: the server goes on writing it. Take it up where it was left.
		if len(answer.Text) > had {
			failures = 1
		}
		if failures == usual.tries {
			return nil, fmt.Errorf("reply %s does not get on: %v", answer.ReplyID, problem)
		}
		if err := pause(ctx, failures, problem); err != nil {
			return nil, err
		}
	}
}

// follow reads one stream to its end. The error is for what no stream may say.
func (d *Desk) follow(
	ctx context.Context, ask *repliesv1.StreamReplyRequest, answer *Answer, onEvent func(*repliesv1.ReplyEvent),
) (*Problem, error) {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	next, err := d.open(ctx, ask, answer)
	for err == nil {
		var event *repliesv1.ReplyEvent
		if event, err = next(); err != nil {
			break
		}
		if err := answer.Accept(event); err != nil {
			return nil, err
		}
		onEvent(event)
		if answer.End != nil {
			return nil, nil
		}
	}
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return newProblem(err), nil
}

// open asks for the reply, or for the rest of it.
func (d *Desk) open(
	ctx context.Context, ask *repliesv1.StreamReplyRequest, answer *Answer,
) (func() (*repliesv1.ReplyEvent, error), error) {
	ctx, err := d.authorized(ctx)
	if err != nil {
		return nil, err
	}
	if answer.ReplyID == "" {
		stream, err := d.replies.StreamReply(ctx, ask)
		return func() (*repliesv1.ReplyEvent, error) {
			response, err := stream.Recv()
			return response.GetEvent(), err
		}, err
	}
	rest := &repliesv1.AttachReplyRequest{
		ReplyId: answer.ReplyID, Attempt: answer.Attempt, AfterOffset: int64(len(answer.Text)),
	}
	stream, err := d.replies.AttachReply(ctx, rest)
	return func() (*repliesv1.ReplyEvent, error) {
		response, err := stream.Recv()
		return response.GetEvent(), err
	}, err
}
