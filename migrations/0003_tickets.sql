CREATE TABLE tickets (
    -- UUIDv7, so its order is that of creation.
    id                  uuid        PRIMARY KEY,
    number              bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT tickets_number_key UNIQUE,
    requester_id        uuid        NOT NULL REFERENCES users,
    title               text        NOT NULL CONSTRAINT tickets_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    description         text        NOT NULL CONSTRAINT tickets_description_length CHECK (char_length(description) BETWEEN 1 AND 10000),
    status              text        NOT NULL DEFAULT 'OPEN' CONSTRAINT tickets_status_known
        CHECK (status IN ('OPEN', 'IN_PROGRESS', 'WAITING_ON_CUSTOMER', 'RESOLVED', 'CLOSED')),
    priority            text        NOT NULL CONSTRAINT tickets_priority_known
        CHECK (priority IN ('LOW', 'NORMAL', 'HIGH', 'URGENT')),
    category            text        NOT NULL CONSTRAINT tickets_category_known
        CHECK (category IN ('GENERAL', 'BILLING', 'TECHNICAL', 'ACCOUNT')),
    tags                text[]      NOT NULL DEFAULT '{}' CONSTRAINT tickets_tags_count CHECK (cardinality(tags) <= 20),
    assignee_id         uuid        REFERENCES users,
    handler             text        NOT NULL DEFAULT 'ASSISTANT' CONSTRAINT tickets_handler_known
        CHECK (handler IN ('ASSISTANT', 'HUMAN')),
    -- The newest message, and the newest of the requester; the description counts as the first. Given under the row lock.
    last_seq            integer     NOT NULL DEFAULT 1,
    last_customer_seq   integer     NOT NULL DEFAULT 1,
    -- Rises with every change; the etag.
    version             integer     NOT NULL DEFAULT 1,
    create_time         timestamptz NOT NULL DEFAULT now(),
    update_time         timestamptz NOT NULL DEFAULT now(),
    first_response_time timestamptz,
    resolve_time        timestamptz
);
CREATE INDEX tickets_of_requester ON tickets (requester_id, id DESC);

CREATE TABLE messages (
    id          uuid        PRIMARY KEY,
    ticket_id   uuid        NOT NULL REFERENCES tickets,
    seq         integer     NOT NULL CONSTRAINT messages_seq_after_description CHECK (seq > 1),
    -- Null for the assistant and the system.
    author_id   uuid        REFERENCES users,
    author_kind text        NOT NULL CONSTRAINT messages_author_kind_known
        CHECK (author_kind IN ('CUSTOMER', 'AGENT', 'ASSISTANT', 'SYSTEM')),
    visibility  text        NOT NULL CONSTRAINT messages_visibility_known CHECK (visibility IN ('PUBLIC', 'INTERNAL')),
    -- The assistant's may be longer than people's.
    body        text        NOT NULL CONSTRAINT messages_body_length CHECK (char_length(body) BETWEEN 1 AND 100000),
    create_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT messages_author_named CHECK ((author_kind IN ('CUSTOMER', 'AGENT')) = (author_id IS NOT NULL)),
    CONSTRAINT messages_seq_key UNIQUE (ticket_id, seq)
);
