package desk

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
)

// limits of a call. A deadline goes with every try: without one, the server's own limit holds, and nothing but it.
type limits struct {
	tries   int
	timeout time.Duration
}

var (
	usual  = limits{tries: 5, timeout: 10 * time.Second}
	single = limits{tries: 1, timeout: usual.timeout}
	// A repeat gets the same tokens within 10 s of the first try, and must have arrived by then.
	renewal = limits{tries: 2, timeout: 4 * time.Second}
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
	answer, err := repeated(ctx, method, request, d.authorized, usual)
	if problem, ok := errors.AsType[*Problem](err); ok && problem.Reason == tokenExpired {
		// Our clock is behind the server's.
		if err := d.Refresh(ctx); err != nil {
			return nil, err
		}
		return repeated(ctx, method, request, d.authorized, usual)
	}
	return answer, err
}

// Once makes a call that anyone may make, without repeats.
func Once[Q, A any](ctx context.Context, method method[Q, A], request *Q) (*A, error) {
	return repeated(ctx, method, request, anyone, single)
}

// repeated makes a call, and makes it again where that may help.
func repeated[Q, A any](
	ctx context.Context, method method[Q, A], request *Q, caller identity, limits limits,
) (*A, error) {
	for failures := 1; ; failures++ {
		answer, problem := once(ctx, method, request, caller, limits.timeout)
		if problem == nil {
			return answer, nil
		}
		if !problem.passesSoon() || failures == limits.tries {
			return nil, problem
		}
		if err := pause(ctx, failures, problem); err != nil {
			return nil, err
		}
	}
}

func once[Q, A any](
	ctx context.Context, method method[Q, A], request *Q, caller identity, timeout time.Duration,
) (*A, *Problem) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
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
