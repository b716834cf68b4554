// Plays a customer at a running Deskhand, over a network that breaks. Ends with 0 only where all of it held.
//
//     node dist/src/main.js [ADDRESS]

import { randomUUID } from "node:crypto";

import { status } from "@grpc/grpc-js";

import { GetMeRequest, SignUpRequest } from "../gen/deskhand/accounts/v1/accounts.js";
import {
  AuthorKind,
  CreateTicketRequest,
  GetTicketRequest,
  ListTicketsRequest,
  PostMessageRequest,
} from "../gen/deskhand/tickets/v1/tickets.js";
import { BadNetwork } from "./bad-network.js";
import { SINGLE, anyone, repeated } from "./call.js";
import { Desk } from "./desk.js";
import { Problem } from "./problem.js";

/** An answer's stream breaks when so many bytes have come; the simulator's have a character of three by then. */
const EARLY = 20;

async function main(): Promise<void> {
  const network = await BadNetwork.inFrontOf(process.argv[2] ?? "127.0.0.1:50051");
  const desk = new Desk(network.address);
  await logIn(desk);
  await beRefused(desk);
  const ticketId = await openTicket(desk, network);
  await ask(desk, network, ticketId);
  desk.close();
  network.close();
}

async function logIn(desk: Desk): Promise<void> {
  const [email, password] = [`typescript-${randomUUID()}@example.com`, randomUUID()];
  // Not repeated blindly: it takes no requestId. EMAIL_TAKEN after a lost answer means that the first one was heard.
  const asked = SignUpRequest.create({ email, password, displayName: "TypeScript" });
  const signedUp = await repeated(desk.auth, desk.auth.signUp, asked, anyone, SINGLE);
  await desk.logIn(email, password);
  const me = await desk.call(desk.auth, desk.auth.getMe, GetMeRequest.create());
  check(me.user !== undefined && me.user.id === signedUp.user?.id, "signed up and logged in");

  await desk.refresh();
  const again = await desk.call(desk.auth, desk.auth.getMe, GetMeRequest.create());
  check(again.user?.email === email, "went on with the next access token");
}

async function beRefused(desk: Desk): Promise<void> {
  const untitled = CreateTicketRequest.create({ title: " ", description: "It is on fire." });
  const thrown: unknown = await desk.call(desk.tickets, desk.tickets.createTicket, untitled).catch((error) => error);
  const problem = thrown instanceof Problem ? thrown : undefined;
  check(problem?.code === status.INVALID_ARGUMENT, "a ticket without a title is refused");
  check(problem?.reason === "INVALID_FIELDS", "with a reason for programs");
  check(Object.keys(problem?.fields ?? {}).join() === "title", `and the field: ${problem?.fields["title"]}`);
}

async function openTicket(desk: Desk, network: BadNetwork): Promise<string> {
  const request = CreateTicketRequest.create({
    title: "Printer",
    description: "It is on fire.",
    requestId: randomUUID(),
  });
  // The ticket is made, and the answer that says so is lost. The repeat gets the first answer, by its requestId.
  network.breakOff(100);
  const { ticket } = await desk.call(desk.tickets, desk.tickets.createTicket, request);
  check(network.breaks === 1, "the answer to CreateTicket was lost, and the call repeated");

  const { tickets } = await desk.call(desk.tickets, desk.tickets.listTickets, ListTicketsRequest.create());
  check(tickets.length === 1 && tickets[0]?.id === ticket?.id, "there is one ticket");
  return ticket?.id ?? "";
}

async function ask(desk: Desk, network: BadNetwork, ticketId: string): Promise<void> {
  const message = PostMessageRequest.create({
    ticketId,
    body: "Where is the extinguisher, and what do I do until I have found it?",
    requestId: randomUUID(),
  });
  await desk.call(desk.tickets, desk.tickets.postMessage, message);

  // How many bytes had come when each stream started.
  const starts: number[] = [];
  let received = 0;
  const answer = await desk.streamReply(ticketId, ({ event }) => {
    if (event?.$case === "started") {
      starts.push(received);
    } else if (event?.$case === "delta") {
      const before = received;
      received = event.value.offset + Buffer.byteLength(event.value.text);
      if (starts.length === 1 && before < EARLY && received >= EARLY) network.breakOff();
    }
  });
  check(network.breaks === 2, "the connection broke in the middle of the answer");
  check(starts.length > 1 && starts[1]! >= EARLY, `it was taken up after ${starts.slice(1)} bytes`);
  const posted = answer.end?.$case === "completed" ? answer.end.value.message : undefined;
  check(posted !== undefined, "to its end");
  check(answer.text === posted?.body, `and is, put together, what was posted (${answer.offset} bytes)`);

  const { messages } = await desk.call(desk.tickets, desk.tickets.getTicket, GetTicketRequest.create({ ticketId }));
  const answers = messages.filter(({ authorKind }) => authorKind === AuthorKind.AUTHOR_KIND_ASSISTANT);
  check(answers.length === 1 && answers[0]?.id === posted?.id, "once");
}

function check(held: boolean, what: string): void {
  if (!held) throw new Error(`NOT SO: ${what}`);
  console.log(`typescript: ${what}`);
}

main().catch((error: unknown) => {
  console.error(`typescript: ${error}`);
  process.exit(1);
});
