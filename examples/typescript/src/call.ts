// One call: its deadline, and its repeats where they may help.

import { setTimeout as sleep } from "node:timers/promises";

import type { CallOptions, Client, ClientUnaryCall, ServiceError } from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";

import { LONGEST_WAIT, Problem } from "./problem.js";

/** A deadline goes with every try of a call: without one, the server's own limit holds, and nothing but it. */
export interface Limits {
  tries: number;
  /** Milliseconds. */
  timeout: number;
}

export const USUAL: Limits = { tries: 5, timeout: 10_000 };
export const SINGLE: Limits = { ...USUAL, tries: 1 };
/** A repeat gets the same tokens within 10 s of the first try, and must have arrived by then. */
export const RENEWAL: Limits = { tries: 2, timeout: 4_000 };

/** How a generated client writes an RPC with one answer. */
export type Method<Q, A> = (
  request: Q,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, answer: A) => void,
) => ClientUnaryCall;

/** Who makes a call, as metadata. */
export type Identity = () => Promise<Metadata>;

/** The identity of calls that take no token. */
export const anyone: Identity = async () => new Metadata();

/** Makes a call, and makes it again where that may help. */
export async function repeated<Q, A>(
  client: Client,
  method: Method<Q, A>,
  request: Q,
  identity: Identity,
  { tries, timeout }: Limits,
): Promise<A> {
  for (let failures = 1; ; failures++) {
    try {
      return await once(client, method, request, await identity(), timeout);
    } catch (thrown) {
      const problem = Problem.of(thrown);
      if (!problem.passesSoon() || failures === tries) throw problem;
      await pause(failures, problem);
    }
  }
}

function once<Q, A>(
  client: Client,
  method: Method<Q, A>,
  request: Q,
  metadata: Metadata,
  timeout: number,
): Promise<A> {
  const options = { deadline: Date.now() + timeout };
  return new Promise((resolve, reject) => {
    method.call(client, request, metadata, options, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

/** Longer after each failure, by chance, so that not all clients come back at once; never less than was asked for. */
export async function pause(failures: number, problem: Problem | undefined): Promise<void> {
  const byChance = Math.random() * Math.min(LONGEST_WAIT, 100 * 2 ** failures);
  await sleep(Math.max(byChance, problem?.retryAfter ?? 0));
}
