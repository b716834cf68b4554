"""Plays a customer at a running Deskhand, over a network that breaks. Ends with 0 only where all of it held.

    python3 main.py [ADDRESS]
"""

import sys
from pathlib import Path
from uuid import uuid4

# Where `buf generate` writes; a package of yours would install it.
sys.path.insert(0, str(Path(__file__).parent / "gen"))

import grpc
from deskhand.accounts.v1.accounts_pb2 import GetMeRequest, SignUpRequest
from deskhand.tickets.v1.tickets_pb2 import (
    AUTHOR_KIND_ASSISTANT,
    CreateTicketRequest,
    GetTicketRequest,
    ListTicketsRequest,
    PostMessageRequest,
)

from bad_network import BadNetwork
from desk import Desk, repeated
from problem import Problem

# An answer's stream breaks when so many bytes have come; the simulator's have a character of three by then.
EARLY = 20


def main() -> None:
    network = BadNetwork(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
    desk = Desk(network.address)
    log_in(desk)
    be_refused(desk)
    ticket_id = open_ticket(desk, network)
    ask(desk, network, ticket_id)
    desk.close()


def log_in(desk: Desk) -> None:
    email, password = f"python-{uuid4()}@example.com", str(uuid4())
    # Not repeated blindly: it takes no request_id. EMAIL_TAKEN after a lost answer means that the first one was heard.
    asked = SignUpRequest(email=email, password=password, display_name="Python")
    signed_up = repeated(desk.auth.SignUp, asked, tries=1)
    desk.log_in(email, password)
    check(desk.call(desk.auth.GetMe, GetMeRequest()).user.id == signed_up.user.id, "signed up and logged in")

    desk.refresh()
    check(desk.call(desk.auth.GetMe, GetMeRequest()).user.email == email, "went on with the next access token")


def be_refused(desk: Desk) -> None:
    try:
        desk.call(desk.tickets.CreateTicket, CreateTicketRequest(title=" ", description="It is on fire."))
    except Problem as problem:
        check(problem.code == grpc.StatusCode.INVALID_ARGUMENT, "a ticket without a title is refused")
        check(problem.reason == "INVALID_FIELDS", "with a reason for programs")
        check(list(problem.fields) == ["title"], f"and the field: {problem.fields}")
    else:
        check(False, "a ticket without a title is refused")


def open_ticket(desk: Desk, network: BadNetwork) -> str:
    request = CreateTicketRequest(title="Printer", description="It is on fire.", request_id=str(uuid4()))
    # The ticket is made, and the answer that says so is lost. The repeat gets the first answer, by its request_id.
    network.break_off(lost=100)
    ticket = desk.call(desk.tickets.CreateTicket, request).ticket
    check(network.breaks == 1, "the answer to CreateTicket was lost, and the call repeated")

    listed = desk.call(desk.tickets.ListTickets, ListTicketsRequest()).tickets
    check([ticket.id for ticket in listed] == [ticket.id], "there is one ticket")
    return ticket.id


def ask(desk: Desk, network: BadNetwork, ticket_id: str) -> None:
    question = "Where is the extinguisher, and what do I do until I have found it?"
    message = PostMessageRequest(ticket_id=ticket_id, body=question, request_id=str(uuid4()))
    desk.call(desk.tickets.PostMessage, message)

    # How many bytes had come when each stream started.
    starts: list[int] = []
    received = 0

    def on_event(event) -> None:
        nonlocal received
        if event.HasField("started"):
            starts.append(received)
        elif event.HasField("delta"):
            before, received = received, event.delta.offset + len(event.delta.text.encode())
            if len(starts) == 1 and before < EARLY <= received:
                network.break_off()

    answer = desk.stream_reply(ticket_id, on_event)
    check(network.breaks == 2, "the connection broke in the middle of the answer")
    check(len(starts) > 1 and starts[1] >= EARLY, f"it was taken up after {starts[1:]} bytes")
    check(answer.end.HasField("completed"), "to its end")
    posted = answer.end.completed.message
    check(answer.text == posted.body, f"and is, put together, what was posted ({len(answer.received)} bytes)")

    messages = desk.call(desk.tickets.GetTicket, GetTicketRequest(ticket_id=ticket_id)).messages
    answers = [message for message in messages if message.author_kind == AUTHOR_KIND_ASSISTANT]
    check([message.id for message in answers] == [posted.id], "once")


def check(held: bool, what: str) -> None:
    if not held:
        sys.exit(f"python: NOT SO: {what}")
    print(f"python: {what}")


try:
    main()
except Problem as problem:
    sys.exit(f"python: {problem}")
