// Package desk is a client of Deskhand: deadlines, tokens, repeats that are safe, and answers that survive a broken
// connection.
package desk

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	accountsv1 "example.com/deskhand-client/gen/deskhand/accounts/v1"
	repliesv1 "example.com/deskhand-client/gen/deskhand/replies/v1"
	ticketsv1 "example.com/deskhand-client/gen/deskhand/tickets/v1"
)

// margin is how long an access token must hold: one that is about to expire may have expired when it arrives.
const margin = 30 * time.Second

// Desk is a connection, and the session of whoever logged in. It may be shared.
type Desk struct {
	Auth       accountsv1.AuthServiceClient
	Tickets    ticketsv1.TicketServiceClient
	replies    repliesv1.ReplyServiceClient
	connection *grpc.ClientConn

	// One renewal at a time: a refresh token is good once.
	lock sync.Mutex
	// In memory only. Both tokens are as good as a password for as long as they live.
	accessToken, refreshToken string
	expires                   time.Time
}

// Dial prepares a connection; it is made by the first call.
func Dial(address string) (*Desk, error) {
	connection, err := grpc.NewClient(
		address,
		// Plain text is for loopback and networks of your own; elsewhere: credentials.NewTLS.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	)
	if err != nil {
		return nil, err
	}
	return &Desk{
		Auth:       accountsv1.NewAuthServiceClient(connection),
		Tickets:    ticketsv1.NewTicketServiceClient(connection),
		replies:    repliesv1.NewReplyServiceClient(connection),
		connection: connection,
	}, nil
}

// Close ends the connection.
func (d *Desk) Close() error {
	return d.connection.Close()
}

// LogIn begins a session.
func (d *Desk) LogIn(ctx context.Context, email, password string) error {
	request := &accountsv1.LogInRequest{Email: email, Password: password}
	answer, err := repeated(ctx, d.Auth.LogIn, request, anyone, usual)
	if err != nil {
		return err
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	d.keep(answer)
	return nil
}

// Refresh gets the next tokens. The old one is used up: sent later, it would end the session.
func (d *Desk) Refresh(ctx context.Context) error {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.refresh(ctx)
}

func (d *Desk) refresh(ctx context.Context) error {
	request := &accountsv1.RefreshTokenRequest{RefreshToken: d.refreshToken}
	answer, err := repeated(ctx, d.Auth.RefreshToken, request, anyone, renewal)
	if err != nil {
		return err
	}
	d.keep(answer)
	return nil
}

func (d *Desk) keep(answer interface {
	GetAccessToken() string
	GetRefreshToken() string
	GetAccessTokenExpireTime() *timestamppb.Timestamp
}) {
	d.accessToken, d.refreshToken = answer.GetAccessToken(), answer.GetRefreshToken()
	d.expires = answer.GetAccessTokenExpireTime().AsTime()
}

// authorized adds an access token that holds for a while.
func (d *Desk) authorized(ctx context.Context) (context.Context, error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if time.Until(d.expires) < margin {
		if err := d.refresh(ctx); err != nil {
			return nil, err
		}
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+d.accessToken), nil
}
