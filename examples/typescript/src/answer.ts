// An answer of the assistant, put together from the events of one stream or several.

import type { ReplyEvent } from "../gen/deskhand/replies/v1/replies.js";

/** What is known of a reply so far. It is given every event, whichever stream it came by. */
export class Answer {
  replyId = "";
  attempt = 0;
  /** The attempt's text so far. */
  text = "";
  /** How many bytes of UTF-8 that is. `text.length` would be another number: it counts units of UTF-16. */
  offset = 0;
  /** How it ended; undefined as long as it has not. */
  end: ReplyEvent["event"];

  accept({ event }: ReplyEvent): void {
    switch (event?.$case) {
      case "started":
        this.replyId = event.value.replyId;
        this.begin(event.value.attempt);
        break;
      case "restarted":
        this.begin(event.value.attempt);
        break;
      case "delta": {
        const { attempt, offset, text } = event.value;
        if (attempt !== this.attempt || offset !== this.offset) {
          throw new Error(`${attempt}:${offset} came, not ${this.attempt}:${this.offset}`);
        }
        this.text += text;
        this.offset += Buffer.byteLength(text);
        break;
      }
      case "completed":
      case "drafted":
      case "failed":
      case "superseded":
      case "cancelled":
      case "handedOff":
        this.end = event;
        break;
      // `interrupted` ends a stream, not the answer. Kinds that a later version adds are passed over.
    }
  }

  /** The text that follows is of this attempt. That of another is void: it must never be joined to it. */
  private begin(attempt: number): void {
    if (attempt === this.attempt) return;
    this.attempt = attempt;
    this.text = "";
    this.offset = 0;
  }
}
