-- Runs that outlive their process.

-- The text of a live run so far, in pieces. Gone when the run has ended: its text is in its message or its row then.
CREATE TABLE reply_chunks (
    reply_id uuid    NOT NULL REFERENCES replies,
    attempt  integer NOT NULL,
    -- Where it begins in the attempt's text, in bytes.
    begins   integer NOT NULL,
    text     text    NOT NULL,
    PRIMARY KEY (reply_id, attempt, begins)
);
-- A ticket's replies, newest first.
CREATE INDEX replies_newest ON replies (ticket_id, id DESC);
