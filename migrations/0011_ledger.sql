-- Whatever the assistant is asked for is a reply, with its calls in the ledger and its tokens in budgets.

ALTER TABLE tickets
    -- The customer's, BCP 47, as triage found it.
    ADD COLUMN language text NOT NULL DEFAULT '' CONSTRAINT tickets_language_length CHECK (length(language) <= 35);

ALTER TABLE replies
    DROP CONSTRAINT replies_mode_known,
    ADD CONSTRAINT replies_mode_known CHECK (mode IN ('POST', 'DRAFT', 'SUMMARY', 'TRIAGE', 'REWRITE')),
    ALTER COLUMN ticket_id DROP NOT NULL,
    ADD CONSTRAINT replies_ticket CHECK ((ticket_id IS NULL) = (mode = 'REWRITE')),
    -- What the live attempt, or one whose end is not in the books yet, may take of the budgets, and since when.
    ADD COLUMN reserved_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN reserve_time    timestamptz NOT NULL DEFAULT now(),
    -- What someone decided on a draft.
    ADD COLUMN decision            text CONSTRAINT replies_decision_known CHECK (decision IN ('ACCEPTED', 'DISCARDED')),
    ADD COLUMN decided_by          uuid REFERENCES users,
    ADD COLUMN decide_time         timestamptz,
    ADD COLUMN edit_distance       integer,
    ADD COLUMN accepted_message_id uuid REFERENCES messages,
    ADD CONSTRAINT replies_decision CHECK (
        (decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decide_time IS NULL)
        AND (decision IS NULL OR (mode = 'DRAFT' AND state = 'DRAFTED'))),
    ADD CONSTRAINT replies_acceptance CHECK (
        (coalesce(decision, '') = 'ACCEPTED') = (edit_distance IS NOT NULL)
        AND (accepted_message_id IS NULL OR decision = 'ACCEPTED')),
    -- Whether the ticket was set as a judgement says.
    ADD COLUMN applied boolean;
-- Looking for attempts whose process died before their end was in the books.
CREATE INDEX replies_unsettled ON replies (lease_until) WHERE reserved_tokens > 0;
-- Looking for rewritten texts that have been kept long enough.
CREATE INDEX replies_rewritten ON replies (end_time) WHERE mode = 'REWRITE' AND text IS NOT NULL;

ALTER TABLE model_calls
    DROP CONSTRAINT model_calls_outcome_known,
    -- OPEN: under way. LOST: its process died. Until a call has ended, its tokens are the most that it may take.
    ADD CONSTRAINT model_calls_outcome_known CHECK (outcome IN ('OPEN', 'COMPLETED', 'FAILED', 'CUT_SHORT', 'LOST'));
-- Usage of some days.
CREATE INDEX model_calls_time ON model_calls (create_time);

-- What was asked for and spent, by whoever pays, in a period. Rows are locked in the order of the key's columns, users' before
-- the desk's.
CREATE TABLE budgets (
    -- A user; the desk has the nil UUID.
    payer  uuid        NOT NULL,
    period text        NOT NULL CONSTRAINT budgets_period_known CHECK (period IN ('HOUR', 'DAY')),
    -- UTC.
    begins timestamptz NOT NULL,
    asks   bigint      NOT NULL,
    -- Spent, or reserved.
    tokens bigint      NOT NULL,
    PRIMARY KEY (payer, period, begins)
);
CREATE INDEX budgets_old ON budgets (begins);

-- What people thought of replies.
CREATE TABLE reply_ratings (
    reply_id    uuid        NOT NULL REFERENCES replies,
    user_id     uuid        NOT NULL REFERENCES users,
    verdict     text        NOT NULL CONSTRAINT reply_ratings_verdict_known CHECK (verdict IN ('HELPFUL', 'NOT_HELPFUL')),
    comment     text        NOT NULL,
    update_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reply_id, user_id)
);
