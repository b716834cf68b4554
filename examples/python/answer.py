"""An answer of the assistant, put together from the events of one stream or several."""

from deskhand.replies.v1.replies_pb2 import ReplyEvent


class Answer:
    """What is known of a reply so far. It is given every event, whichever stream it came by."""

    def __init__(self) -> None:
        self.reply_id = ""
        self.attempt = 0
        # The attempt's text so far. Offsets count bytes of UTF-8, so bytes are what is kept.
        self.received = b""
        # How it ended; None as long as it has not.
        self.end: ReplyEvent | None = None

    @property
    def text(self) -> str:
        return self.received.decode()

    def accept(self, event: ReplyEvent) -> None:
        kind = event.WhichOneof("event")
        if kind == "started":
            self.reply_id = event.started.reply_id
            self._begin(event.started.attempt)
        elif kind == "restarted":
            self._begin(event.restarted.attempt)
        elif kind == "delta":
            delta = event.delta
            if (delta.attempt, delta.offset) != (self.attempt, len(self.received)):
                raise ValueError(f"{delta.attempt}:{delta.offset} came, not {self.attempt}:{len(self.received)}")
            self.received += delta.text.encode()
        elif kind in ("completed", "drafted", "failed", "superseded", "cancelled", "handed_off"):
            self.end = event
        # `interrupted` ends a stream, not the answer. Kinds that a later version adds are passed over.

    def _begin(self, attempt: int) -> None:
        """The text that follows is of this attempt. That of another is void: it must never be joined to it."""
        if attempt != self.attempt:
            self.attempt = attempt
            self.received = b""
