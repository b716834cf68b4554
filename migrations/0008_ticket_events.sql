-- What happened to tickets, for their history and for the feed.
CREATE TABLE ticket_events (
    -- Drawn under the ticket's row lock, so that its order within a ticket is that of the commits.
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_id    uuid        NOT NULL REFERENCES tickets,
    -- The ticket's, so that the feed of a customer is one index.
    requester_id uuid        NOT NULL REFERENCES users,
    kind         text        NOT NULL CONSTRAINT ticket_events_kind_known
        CHECK (kind IN ('CREATED', 'UPDATED', 'ASSIGNED', 'MESSAGE_POSTED')),
    actor_kind   text        NOT NULL CONSTRAINT ticket_events_actor_kind_known
        CHECK (actor_kind IN ('CUSTOMER', 'AGENT', 'ASSISTANT', 'SYSTEM')),
    actor_id     uuid        REFERENCES users,
    -- [{"field": …, "from": …, "to": …}]
    changes      jsonb       NOT NULL,
    message_id   uuid        REFERENCES messages,
    reply_id     uuid        REFERENCES replies,
    -- For staff only.
    internal     boolean     NOT NULL,
    create_time  timestamptz NOT NULL DEFAULT now(),
    -- Its place in the feed, given after the commit by one replica at a time: neither ids nor transactions are in the order
    -- of commits.
    position     bigint      CONSTRAINT ticket_events_position_key UNIQUE,
    CONSTRAINT ticket_events_actor_named CHECK ((actor_kind IN ('CUSTOMER', 'AGENT')) = (actor_id IS NOT NULL))
);
CREATE INDEX ticket_events_of_ticket ON ticket_events (ticket_id, id);
CREATE INDEX ticket_events_of_requester ON ticket_events (requester_id, position) WHERE NOT internal AND position IS NOT NULL;
-- Waiting for their place.
CREATE INDEX ticket_events_new ON ticket_events (id) WHERE position IS NULL;

-- The newest position that was given: not the largest in the table, for an event that is removed must not leave its place to
-- another, which those who are past it would miss.
CREATE TABLE feed_head (
    id       boolean PRIMARY KEY DEFAULT true CONSTRAINT feed_head_one_row CHECK (id),
    position bigint  NOT NULL
);
INSERT INTO feed_head (position) VALUES (0);

-- The history of what was there before, as far as it is known.
INSERT INTO ticket_events (ticket_id, requester_id, kind, actor_kind, actor_id, changes, message_id, reply_id, internal, create_time)
SELECT ticket_id, requester_id, kind, actor_kind, actor_id, '[]', message_id, reply_id, internal, create_time
FROM (
    SELECT id AS ticket_id, requester_id, 'CREATED' AS kind, 'CUSTOMER' AS actor_kind, requester_id AS actor_id,
           NULL::uuid AS message_id, NULL::uuid AS reply_id, false AS internal, create_time, 1 AS seq
    FROM tickets
    UNION ALL
    SELECT m.ticket_id, t.requester_id, 'MESSAGE_POSTED', m.author_kind, m.author_id, m.id, m.reply_id,
           m.visibility = 'INTERNAL', m.create_time, m.seq
    FROM messages m JOIN tickets t ON t.id = m.ticket_id
) past
ORDER BY create_time, ticket_id, seq;
