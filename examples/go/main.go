// Plays a customer at a running Deskhand, over a network that breaks. Ends with 0 only where all of it held.
//
//	go run . [ADDRESS]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"example.com/deskhand-client/badnetwork"
	"example.com/deskhand-client/desk"
	accountsv1 "example.com/deskhand-client/gen/deskhand/accounts/v1"
	repliesv1 "example.com/deskhand-client/gen/deskhand/replies/v1"
	ticketsv1 "example.com/deskhand-client/gen/deskhand/tickets/v1"
)

// An answer's stream breaks when so many bytes have come; the simulator's have a character of three by then.
const early = 20

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	server := "127.0.0.1:50051"
	if len(os.Args) > 1 {
		server = os.Args[1]
	}
	if err := play(ctx, server); err != nil {
		fmt.Fprintln(os.Stderr, "go: NOT SO:", err)
		os.Exit(1)
	}
}

func play(ctx context.Context, server string) error {
	network, err := badnetwork.InFrontOf(server)
	if err != nil {
		return err
	}
	customer, err := desk.Dial(network.Address)
	if err != nil {
		return err
	}
	defer func() { _ = customer.Close() }()
	if err := logIn(ctx, customer); err != nil {
		return err
	}
	if err := beRefused(ctx, customer); err != nil {
		return err
	}
	ticketID, err := openTicket(ctx, customer, network)
	if err != nil {
		return err
	}
	return ask(ctx, customer, network, ticketID)
}

func logIn(ctx context.Context, customer *desk.Desk) error {
	email, password := fmt.Sprintf("go-%s@example.com", uuid.NewString()), uuid.NewString()
	// Not repeated blindly: it takes no request_id. EMAIL_TAKEN after a lost answer means that the first one was heard.
	asked := &accountsv1.SignUpRequest{Email: email, Password: password, DisplayName: "Go"}
	signedUp, err := desk.Once(ctx, customer.Auth.SignUp, asked)
	if err != nil {
		return err
	}
	if err := customer.LogIn(ctx, email, password); err != nil {
		return err
	}
	me, err := desk.Call(ctx, customer, customer.Auth.GetMe, &accountsv1.GetMeRequest{})
	if err != nil {
		return err
	}
	if err := check(me.GetUser().GetId() == signedUp.GetUser().GetId(), "signed up and logged in"); err != nil {
		return err
	}

	if err := customer.Refresh(ctx); err != nil {
		return err
	}
	me, err = desk.Call(ctx, customer, customer.Auth.GetMe, &accountsv1.GetMeRequest{})
	if err != nil {
		return err
	}
	return check(me.GetUser().GetEmail() == email, "went on with the next access token")
}

func beRefused(ctx context.Context, customer *desk.Desk) error {
	untitled := &ticketsv1.CreateTicketRequest{Title: " ", Description: "It is on fire."}
	_, err := desk.Call(ctx, customer, customer.Tickets.CreateTicket, untitled)
	var problem *desk.Problem
	refused := errors.As(err, &problem) && problem.Code == codes.InvalidArgument
	if err := check(refused, "a ticket without a title is refused"); err != nil {
		return err
	}
	if err := check(problem.Reason == "INVALID_FIELDS", "with a reason for programs"); err != nil {
		return err
	}
	_, named := problem.Fields["title"]
	return check(named && len(problem.Fields) == 1, fmt.Sprintf("and the field: %v", problem.Fields))
}

func openTicket(ctx context.Context, customer *desk.Desk, network *badnetwork.Network) (string, error) {
	request := &ticketsv1.CreateTicketRequest{
		Title: "Printer", Description: "It is on fire.", RequestId: uuid.NewString(),
	}
	// The ticket is made, and the answer that says so is lost. The repeat gets the first answer, by its request_id.
	network.BreakOff(100)
	created, err := desk.Call(ctx, customer, customer.Tickets.CreateTicket, request)
	if err != nil {
		return "", err
	}
	ticketID := created.GetTicket().GetId()
	if err := check(network.Breaks() == 1, "the answer to CreateTicket was lost, and the call repeated"); err != nil {
		return "", err
	}
	listed, err := desk.Call(ctx, customer, customer.Tickets.ListTickets, &ticketsv1.ListTicketsRequest{})
	if err != nil {
		return "", err
	}
	tickets := listed.GetTickets()
	return ticketID, check(len(tickets) == 1 && tickets[0].GetId() == ticketID, "there is one ticket")
}

func ask(ctx context.Context, customer *desk.Desk, network *badnetwork.Network, ticketID string) error {
	message := &ticketsv1.PostMessageRequest{
		TicketId:  ticketID,
		Body:      "Where is the extinguisher, and what do I do until I have found it?",
		RequestId: uuid.NewString(),
	}
	if _, err := desk.Call(ctx, customer, customer.Tickets.PostMessage, message); err != nil {
		return err
	}

	// How many bytes had come when each stream started.
	var starts []int64
	received := int64(0)
	answer, err := customer.StreamReply(ctx, ticketID, func(event *repliesv1.ReplyEvent) {
		if event.GetStarted() != nil {
			starts = append(starts, received)
		} else if delta := event.GetDelta(); delta != nil {
			before := received
			received = delta.GetOffset() + int64(len(delta.GetText()))
			if len(starts) == 1 && before < early && received >= early {
				network.BreakOff(1)
			}
		}
	})
	if err != nil {
		return err
	}
	posted := answer.End.GetCompleted().GetMessage()
	if err := check(network.Breaks() == 2, "the connection broke in the middle of the answer"); err != nil {
		return err
	}
	takenUp := len(starts) > 1 && starts[1] >= early
	if err := check(takenUp, fmt.Sprintf("it was taken up after %d bytes", starts[1:])); err != nil {
		return err
	}
	if err := check(posted != nil, "to its end"); err != nil {
		return err
	}
	same := fmt.Sprintf("and is, put together, what was posted (%d bytes)", len(answer.Text))
	if err := check(answer.Text == posted.GetBody(), same); err != nil {
		return err
	}

	kept, err := desk.Call(ctx, customer, customer.Tickets.GetTicket, &ticketsv1.GetTicketRequest{TicketId: ticketID})
	if err != nil {
		return err
	}
	var answers []string
	for _, message := range kept.GetMessages() {
		if message.GetAuthorKind() == ticketsv1.AuthorKind_AUTHOR_KIND_ASSISTANT {
			answers = append(answers, message.GetId())
		}
	}
	return check(len(answers) == 1 && answers[0] == posted.GetId(), "once")
}

func check(held bool, what string) error {
	if !held {
		return errors.New(what)
	}
	fmt.Println("go:", what)
	return nil
}
