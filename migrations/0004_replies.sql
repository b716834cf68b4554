-- AI replies and what they cost.
CREATE TABLE replies (
    id             uuid        PRIMARY KEY,
    ticket_id      uuid        NOT NULL REFERENCES tickets,
    requested_by   uuid        NOT NULL REFERENCES users,
    mode           text        NOT NULL CONSTRAINT replies_mode_known CHECK (mode IN ('POST', 'DRAFT')),
    state          text        NOT NULL DEFAULT 'RUNNING' CONSTRAINT replies_state_known
        CHECK (state IN ('RUNNING', 'COMPLETED', 'DRAFTED', 'FAILED', 'SUPERSEDED', 'CANCELLED')),
    attempt        integer     NOT NULL DEFAULT 1,
    -- The newest customer message when it was asked for; 1 is the description.
    answers_seq    integer     NOT NULL,
    -- The process that runs it, and until when it may: every write of a run requires both, and the state and the attempt.
    owner          uuid        NOT NULL,
    lease_until    timestamptz NOT NULL,
    -- A draft's text, or what came before a failure.
    text           text,
    failure_reason text,
    create_time    timestamptz NOT NULL DEFAULT now(),
    end_time       timestamptz,
    CONSTRAINT replies_end CHECK ((state = 'RUNNING') = (end_time IS NULL)),
    CONSTRAINT replies_failure CHECK ((state = 'FAILED') = (failure_reason IS NOT NULL))
);
-- One live run per ticket and mode.
CREATE UNIQUE INDEX replies_one_live ON replies (ticket_id, mode) WHERE state = 'RUNNING';
-- One posted answer to a customer's message.
CREATE UNIQUE INDEX replies_one_answer ON replies (ticket_id, answers_seq) WHERE mode = 'POST' AND state = 'COMPLETED';
-- Looking for a reply that answers the newest message.
CREATE INDEX replies_of_ticket ON replies (ticket_id, mode, answers_seq);
-- Looking for runs whose process died.
CREATE INDEX replies_leases ON replies (lease_until) WHERE state = 'RUNNING';

-- The message that a reply became; unique, so no reply is ever posted twice.
ALTER TABLE messages ADD COLUMN reply_id uuid REFERENCES replies CONSTRAINT messages_reply_key UNIQUE;
ALTER TABLE messages ADD CONSTRAINT messages_reply_author CHECK (reply_id IS NULL OR author_kind IN ('ASSISTANT', 'AGENT'));

-- One row for every call to the model.
CREATE TABLE model_calls (
    reply_id               uuid        NOT NULL REFERENCES replies,
    attempt                integer     NOT NULL,
    call_no                integer     NOT NULL,
    model                  text        NOT NULL,
    prompt_id              text        NOT NULL,
    prompt_version         text        NOT NULL,
    outcome                text        NOT NULL CONSTRAINT model_calls_outcome_known
        CHECK (outcome IN ('COMPLETED', 'FAILED', 'CUT_SHORT')),
    -- As the provider reported; null where it did not.
    input_tokens           bigint,
    cached_input_tokens    bigint,
    output_tokens          bigint,
    reasoning_tokens       bigint,
    upstream_id            text,
    time_to_first_token_ms integer,
    duration_ms            integer,
    create_time            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reply_id, attempt, call_no)
);
