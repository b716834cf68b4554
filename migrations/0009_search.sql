-- Lists of tickets by every filter and in every order, and full text search.

-- Indexes of lists. Where an order is by id, it is written `id DESC NULLS LAST` in index and query alike. The primary key
-- cannot give that order, so the planner does not walk down it in the hope of rows that all stand in its older part: closed
-- tickets are older than open ones, which statistics know nothing of.

-- A customer's tickets, newest first. In the place of the same without NULLS LAST.
DROP INDEX tickets_of_requester;
CREATE INDEX tickets_of_requester ON tickets (requester_id, id DESC NULLS LAST);
-- Tickets by status or priority, newest first, and by urgency: each pair of status and priority is walked, and merged.
CREATE INDEX tickets_of_status_priority ON tickets (status, priority, id DESC NULLS LAST);
-- Those that waited longest: each status is walked, and merged.
CREATE INDEX tickets_of_status_update ON tickets (status, update_time, id);
-- By category, newest first; and the set itself, where it is small, for other orders.
CREATE INDEX tickets_of_category ON tickets (category, id DESC NULLS LAST);
-- An agent's tickets, or nobody's: each status is walked newest first, and merged.
CREATE INDEX tickets_of_assignee ON tickets (assignee_id, status, id DESC NULLS LAST);
-- By a tag that is rare; for a common one the order's own index is walked. Tickets without tags cost nothing.
CREATE INDEX tickets_tags ON tickets USING gin (tags) WITH (fastupdate = off) WHERE tags <> '{}';

-- The words of each ticket. Apart from tickets, whose rows change often: each change would enter all words anew.
CREATE TABLE ticket_search (
    ticket_id  uuid     PRIMARY KEY REFERENCES tickets,
    -- Of title, description and public messages: all that a customer's query may look at.
    public     tsvector NOT NULL,
    -- Of internal notes too.
    everything tsvector NOT NULL
);
-- For words that are rare; for common ones the primary key is walked. The pending lists are short, because every search
-- reads them.
CREATE INDEX ticket_search_public ON ticket_search USING gin (public) WITH (gin_pending_list_limit = 256);
CREATE INDEX ticket_search_everything ON ticket_search USING gin (everything) WITH (gin_pending_list_limit = 256);

-- The words of a message. Its first 20,000 characters: no person's is longer, only an assistant's may be.
CREATE FUNCTION ticket_search_words(body text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('simple', left(body, 20000));

-- A document and further words, or the document alone where it would grow beyond 64 KiB: some six thousand different words.
-- PostgreSQL refuses a tsvector over 1 MiB, and every message enters the whole document into the index anew.
CREATE FUNCTION ticket_search_append(document tsvector, words tsvector) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN pg_column_size(document || words) <= 65536 THEN document || words ELSE document END;

CREATE AGGREGATE ticket_search_document(tsvector) (SFUNC = ticket_search_append, STYPE = tsvector, INITCOND = '');

-- The document of a ticket as it stands now.
CREATE FUNCTION ticket_search_of(ticket uuid, internal boolean) RETURNS tsvector LANGUAGE sql STABLE
RETURN (
    SELECT ticket_search_document(words ORDER BY seq)
    FROM (
        SELECT 1, setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', description), 'B')
        FROM tickets WHERE id = ticket
        UNION ALL
        SELECT seq, ticket_search_words(body)
        FROM messages WHERE ticket_id = ticket AND (internal OR visibility = 'PUBLIC')
    ) AS parts (seq, words)
);

INSERT INTO ticket_search (ticket_id, public, everything)
SELECT id, ticket_search_of(id, false), ticket_search_of(id, true) FROM tickets;
