import assert from "node:assert/strict";
import { test } from "node:test";

import { ReplyEvent } from "../gen/deskhand/replies/v1/replies.js";
import { Answer } from "./answer.js";

const started = (attempt: number) =>
  ReplyEvent.create({ event: { $case: "started", value: { replyId: "r", attempt } } });
const restarted = (attempt: number) => ReplyEvent.create({ event: { $case: "restarted", value: { attempt } } });
const delta = (attempt: number, offset: number, text: string) =>
  ReplyEvent.create({ event: { $case: "delta", value: { attempt, offset, text } } });

function given(...events: ReplyEvent[]): Answer {
  const answer = new Answer();
  for (const event of events) answer.accept(event);
  return answer;
}

test("pieces of two streams are joined by their bytes", () => {
  const answer = given(started(1), delta(1, 0, "Grü"), delta(1, 4, "ße "), started(1), delta(1, 8, "👋"));
  assert.deepEqual([answer.replyId, answer.text, answer.offset], ["r", "Grüße 👋", 12]);
});

test("an attempt that is over leaves nothing", () => {
  const live = given(started(1), delta(1, 0, "old"), restarted(2), delta(2, 0, "new"));
  const attached = given(started(1), delta(1, 0, "old"), started(2), restarted(2), delta(2, 0, "new"));
  for (const answer of [live, attached]) assert.deepEqual([answer.attempt, answer.text], [2, "new"]);
});

test("gaps and repeats and old attempts are refused", () => {
  for (const wrong of [delta(1, 4, "x"), delta(1, 2, "x"), delta(2, 3, "x")]) {
    assert.throws(() => given(started(1), delta(1, 0, "abc"), wrong));
  }
});

test("only its own end ends it", () => {
  const interrupted = ReplyEvent.create({ event: { $case: "interrupted", value: { reason: "SERVER_STOPPING" } } });
  assert.equal(given(started(1), interrupted, ReplyEvent.create({})).end, undefined);
  const cancelled = ReplyEvent.create({ event: { $case: "cancelled", value: {} } });
  assert.equal(given(started(1), cancelled).end?.$case, "cancelled");
});
