package desk

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
)

const (
	// A deadline goes with every call: without one, the server's own limit holds, and nothing but it.
	callTimeout   = 10 * time.Second
	streamTimeout = 2 * time.Minute
	tries         = 5
)

// method is how generated clients write an RPC with one answer.
type method[Q, A any] func(context.Context, *Q, ...grpc.CallOption) (*A, error)

// identity puts into a call who makes it.
type identity func(context.Context) (context.Context, error)

// anyone is the identity of calls that take no token.
func anyone(ctx context.Context) (context.Context, error) {
	return ctx, nil
}

// Call makes a call as whoever logged in. Safe for what reads, and for what carries a request_id.
func Call[Q, A any](ctx context.Context, d *Desk, method method[Q, A], request *Q) (*A, error) {
	answer, err := repeated(ctx, method, request, d.authorized, tries)
	if problem, ok := errors.AsType[*Problem](err); ok && problem.Reason == tokenExpired {
		// Our clock is behind the server's.
		if err := d.Refresh(ctx); err != nil {
			return nil, err
		}
		return repeated(ctx, method, request, d.authorized, tries)
	}
	return answer, err
}

// Once makes a call that anyone may make, without repeats.
func Once[Q, A any](ctx context.Context, method method[Q, A], request *Q) (*A, error) {
	return repeated(ctx, method, request, anyone, 1)
}

// repeated makes a call, and makes it again where that may help.
func repeated[Q, A any](
	ctx context.Context, method method[Q, A], request *Q, caller identity, tries int,
) (*A, error) {
	for failures := 1; ; failures++ {
		answer, problem := once(ctx, method, request, caller)
		if problem == nil {
			return answer, nil
		}
		if !problem.passesSoon() || failures == tries {
			return nil, problem
		}
		if err := pause(ctx, failures, problem); err != nil {
			return nil, err
		}
	}
}

func once[Q, A any](
	ctx context.Context, method method[Q, A], request *Q, caller identity,
) (*A, *Problem) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ctx, err := caller(ctx)
	if err != nil {
		return nil, newProblem(err)
	}
	answer, err := method(ctx, request)
	if err != nil {
		return nil, newProblem(err)
	}
	return answer, nil
}

// pause is longer after each failure, by chance, so that not all clients come back at once; never less than was asked
// for.
func pause(ctx context.Context, failures int, problem *Problem) error {
	wait := rand.N(min(longestWait, 100*time.Millisecond<<failures))
	if problem != nil && problem.RetryAfter != nil {
		wait = max(wait, *problem.RetryAfter)
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
