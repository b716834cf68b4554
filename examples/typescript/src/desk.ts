// A client of Deskhand: deadlines, tokens, repeats that are safe, and answers that survive a broken connection.

import { randomUUID } from "node:crypto";

import { type Client, type ClientReadableStream, Metadata, credentials } from "@grpc/grpc-js";

import {
  AuthServiceClient,
  LogInRequest,
  type LogInResponse,
  RefreshTokenRequest,
  type RefreshTokenResponse,
} from "../gen/deskhand/accounts/v1/accounts.js";
import {
  AttachReplyRequest,
  type AttachReplyResponse,
  type ReplyEvent,
  ReplyServiceClient,
  StreamReplyRequest,
  type StreamReplyResponse,
} from "../gen/deskhand/replies/v1/replies.js";
import { TicketServiceClient } from "../gen/deskhand/tickets/v1/tickets.js";
import { Answer } from "./answer.js";
import { type Method, RENEWAL, USUAL, anyone, pause, repeated } from "./call.js";
import { Problem } from "./problem.js";

/** Milliseconds. */
const STREAM_TIMEOUT = 120_000;
/** A token that is about to expire may have expired when it arrives. */
const MARGIN = 30_000;

/** A connection, and the session of whoever logged in. */
export class Desk {
  readonly auth: AuthServiceClient;
  readonly tickets: TicketServiceClient;
  private readonly replies: ReplyServiceClient;
  /** In memory only. Both tokens are as good as a password for as long as they live. */
  private session: LogInResponse | RefreshTokenResponse | undefined;
  /** One renewal at a time: a refresh token is good once. */
  private renewal: Promise<void> | undefined;

  constructor(address: string) {
    // Plain text is for loopback and networks of your own; elsewhere: credentials.createSsl().
    const plain = credentials.createInsecure();
    const options = { "grpc.keepalive_time_ms": 30_000, "grpc.keepalive_timeout_ms": 10_000 };
    this.auth = new AuthServiceClient(address, plain, options);
    const shared = { ...options, channelOverride: this.auth.getChannel() };
    this.tickets = new TicketServiceClient(address, plain, shared);
    this.replies = new ReplyServiceClient(address, plain, shared);
  }

  close(): void {
    this.auth.close();
  }

  async logIn(email: string, password: string): Promise<void> {
    const request = LogInRequest.create({ email, password });
    this.session = await repeated(this.auth, this.auth.logIn, request, anyone, USUAL);
  }

  /** Gets the next tokens. The old one is used up: sent later, it would end the session. */
  refresh(): Promise<void> {
    const renew = async () => {
      const request = RefreshTokenRequest.create({ refreshToken: this.session?.refreshToken });
      this.session = await repeated(this.auth, this.auth.refreshToken, request, anyone, RENEWAL);
    };
    this.renewal ??= renew().finally(() => (this.renewal = undefined));
    return this.renewal;
  }

  /** Makes a call as whoever logged in. Safe for what reads, and for what carries a requestId. */
  async call<Q, A>(client: Client, method: Method<Q, A>, request: Q): Promise<A> {
    const make = () => repeated(client, method, request, () => this.identity(), USUAL);
    try {
      return await make();
    } catch (thrown) {
      if (Problem.of(thrown).reason !== "TOKEN_EXPIRED") throw thrown;
    }
    // Our clock is behind the server's.
    await this.refresh();
    return make();
  }

  /** Asks for an answer and follows it to its end, over as many connections as that takes. */
  async streamReply(ticketId: string, onEvent: (event: ReplyEvent) => void): Promise<Answer> {
    const answer = new Answer();
    // The same in every repeat: it joins the reply that the first one made.
    const ask = StreamReplyRequest.create({ ticketId, requestId: randomUUID() });
    for (let failures = 1; ; failures++) {
      const had = answer.offset;
      let problem: Problem | undefined;
      try {
        for await (const { event } of await this.open(ask, answer)) {
          if (!event) continue;
          answer.accept(event);
          onEvent(event);
        }
      } catch (thrown) {
        problem = Problem.of(thrown);
      }
      if (answer.end) return answer;
      if (problem?.reason === "TOKEN_EXPIRED") await this.refresh();
      else if (problem && !problem.passesSoon()) throw problem;
      // The stream is over, the answer is not: the server goes on writing it. Take it up where it was left.
      if (answer.offset > had) failures = 1;
      if (failures === USUAL.tries) throw problem ?? new Error(`reply ${answer.replyId} does not get on`);
      await pause(failures, problem);
    }
  }

  /** Asks for the reply, or for the rest of it. */
  private async open(
    ask: StreamReplyRequest,
    { replyId, attempt, offset }: Answer,
  ): Promise<ClientReadableStream<StreamReplyResponse | AttachReplyResponse>> {
    const metadata = await this.identity();
    const options = { deadline: Date.now() + STREAM_TIMEOUT };
    if (replyId === "") return this.replies.streamReply(ask, metadata, options);
    const rest = AttachReplyRequest.create({ replyId, attempt, afterOffset: offset });
    return this.replies.attachReply(rest, metadata, options);
  }

  private async identity(): Promise<Metadata> {
    const expires = this.session?.accessTokenExpireTime?.getTime() ?? 0;
    if (expires < Date.now() + MARGIN) await this.refresh();
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${this.session?.accessToken}`);
    return metadata;
  }
}
