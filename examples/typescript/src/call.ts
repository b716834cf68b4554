// One call: its deadline, and its repeats where they may help.

import { setTimeout as sleep } from "node:timers/promises";

import type { CallOptions, Client, ClientUnaryCall, ServiceError } from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";

import { LONGEST_WAIT, Problem } from "./problem.js";

/** Milliseconds. A deadline goes with every call: without one, the server's own limit holds, and nothing but it. */
export const CALL_TIMEOUT = 10_000;
export const TRIES = 5;

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
  tries: number,
): Promise<A> {
  for (let failures = 1; ; failures++) {
    try {
      return await once(client, method, request, await identity());
    } catch (thrown) {
      const problem = Problem.of(thrown);
      if (!problem.passesSoon() || failures === tries) throw problem;
      await pause(failures, problem);
    }
  }
}

function once<Q, A>(client: Client, method: Method<Q, A>, request: Q, metadata: Metadata): Promise<A> {
  const options = { deadline: Date.now() + CALL_TIMEOUT };
  return new Promise((resolve, reject) => {
    method.call(client, request, metadata, options, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

/** Longer after each failure, by chance, so that not all clients come back at once; never less than was asked for. */
export async function pause(failures: number, problem: Problem | undefined): Promise<void> {
  const byChance = Math.random() * Math.min(LONGEST_WAIT, 100 * 2 ** failures);
  await sleep(Math.max(byChance, problem?.retryAfter ?? 0));
}
