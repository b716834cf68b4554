package desk

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// longestWait is how long a call waits for its repeat. Where the server asks for more, somebody should be told.
const longestWait = 5 * time.Second

// tokenExpired is the reason of a call whose access token has ended; the session may live.
const tokenExpired = "TOKEN_EXPIRED"

// Problem is what went wrong with a call, told apart by code and reason; never by the sentence.
type Problem struct {
	Code codes.Code
	// Reason is one of docs/errors.md; empty where it was not Deskhand that answered, but a proxy, or nobody.
	Reason string
	// Fields says what is wrong with which field, by its path; for people who fill in a form.
	Fields map[string]string
	// RetryAfter is how long to wait before another try; nil where the server says nothing of it.
	RetryAfter *time.Duration
	sentence   string
}

func newProblem(err error) *Problem {
	if known, ok := errors.AsType[*Problem](err); ok {
		return known
	}
	answered := status.Convert(err)
	problem := &Problem{Code: answered.Code(), Fields: map[string]string{}, sentence: answered.Message()}
	for _, detail := range answered.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == "deskhand" {
				problem.Reason = detail.GetReason()
			}
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				problem.Fields[violation.GetField()] = violation.GetDescription()
			}
		case *errdetails.RetryInfo:
			after := detail.GetRetryDelay().AsDuration()
			problem.RetryAfter = &after
		}
	}
	return problem
}

func (p *Problem) Error() string {
	return fmt.Sprintf("%s %s: %s", p.Code, p.Reason, p.sentence)
}

// passesSoon says whether the same call may go well in a moment.
func (p *Problem) passesSoon() bool {
	if p.RetryAfter == nil {
		// The time that was over is that of one try.
		return p.Code == codes.Unavailable || p.Code == codes.DeadlineExceeded
	}
	return *p.RetryAfter <= longestWait
}
