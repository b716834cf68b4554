// What went wrong with a call, told apart by code and reason; never by the sentence.

import { type ServiceError, status } from "@grpc/grpc-js";

import { BadRequest, ErrorInfo, RetryInfo } from "../gen/google/rpc/error_details.js";
import { Status } from "../gen/google/rpc/status.js";

/** Milliseconds that a call waits for its repeat. Where the server asks for more, somebody should be told. */
export const LONGEST_WAIT = 5_000;

/** A call that failed. */
export class Problem extends Error {
  readonly code: status;
  /** One of docs/errors.md; empty where it was not Deskhand that answered, but a proxy, or nobody. */
  readonly reason: string = "";
  /** What is wrong with which field, by its path; for people who fill in a form. */
  readonly fields: Record<string, string> = {};
  /** How many milliseconds to wait before another try; undefined where the server says nothing of it. */
  readonly retryAfter: number | undefined;

  constructor(error: ServiceError) {
    const [encoded] = error.metadata?.get("grpc-status-details-bin") ?? [];
    const details = Buffer.isBuffer(encoded) ? Status.decode(encoded).details : [];
    let reason = "";
    const fields: Record<string, string> = {};
    let retryAfter: number | undefined;
    for (const { typeUrl, value } of details) {
      switch (typeUrl) {
        case "type.googleapis.com/google.rpc.ErrorInfo": {
          const info = ErrorInfo.decode(value);
          if (info.domain === "deskhand") reason = info.reason;
          break;
        }
        case "type.googleapis.com/google.rpc.BadRequest":
          for (const { field, description } of BadRequest.decode(value).fieldViolations) fields[field] = description;
          break;
        case "type.googleapis.com/google.rpc.RetryInfo": {
          const delay = RetryInfo.decode(value).retryDelay;
          retryAfter = (delay?.seconds ?? 0) * 1_000 + (delay?.nanos ?? 0) / 1e6;
          break;
        }
      }
    }
    super(`${status[error.code]} ${reason}: ${error.details}`, { cause: error });
    this.code = error.code;
    this.reason = reason;
    this.fields = fields;
    this.retryAfter = retryAfter;
  }

  /** What was thrown, as a problem, if a call threw it. */
  static of(thrown: unknown): Problem {
    if (thrown instanceof Problem) return thrown;
    if (thrown instanceof Error && "code" in thrown && "details" in thrown) return new Problem(thrown as ServiceError);
    throw thrown;
  }

  /** Whether the same call may go well in a moment. */
  passesSoon(): boolean {
    if (this.retryAfter !== undefined) return this.retryAfter <= LONGEST_WAIT;
    // The time that was over is that of one try.
    return this.code === status.UNAVAILABLE || this.code === status.DEADLINE_EXCEEDED;
  }
}
