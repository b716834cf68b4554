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

ALTER TABLE model_calls
    -- From the provider's books, or by estimate on the safe side, where the provider said nothing.
    ADD COLUMN usage_source   text   NOT NULL DEFAULT 'REPORTED' CONSTRAINT model_calls_usage_source_known
        CHECK (usage_source IN ('REPORTED', 'ESTIMATED')),
    -- Millionths of a US dollar; null where the call's end is not known.
    ADD COLUMN cost_micro_usd bigint;

-- The assistant may leave a ticket to a person, and says why.
ALTER TABLE replies
    ADD COLUMN hand_off_why text,
    DROP CONSTRAINT replies_state_known,
    ADD CONSTRAINT replies_state_known
        CHECK (state IN ('RUNNING', 'COMPLETED', 'DRAFTED', 'FAILED', 'SUPERSEDED', 'CANCELLED', 'HANDED_OFF')),
    ADD CONSTRAINT replies_hand_off CHECK ((state = 'HANDED_OFF') = (hand_off_why IS NOT NULL));
ALTER TABLE ticket_events
    DROP CONSTRAINT ticket_events_kind_known,
    ADD CONSTRAINT ticket_events_kind_known
        CHECK (kind IN ('CREATED', 'UPDATED', 'ASSIGNED', 'MESSAGE_POSTED', 'HANDED_OFF'));
