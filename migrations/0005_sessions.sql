-- Sessions: a log-in and the refresh tokens that follow from it.

ALTER TABLE users
    ADD COLUMN disable_time       timestamptz,
    -- When role or disable_time last changed: what replicas read to know it within a second.
    ADD COLUMN access_change_time timestamptz;
CREATE INDEX users_access_changes ON users (access_change_time) WHERE access_change_time IS NOT NULL;
-- Is there an enabled admin?
CREATE INDEX users_admins ON users (id) WHERE role = 'ADMIN' AND disable_time IS NULL;
-- Users of a role, newest first.
CREATE INDEX users_of_role ON users (role, id DESC);

CREATE TABLE sessions (
    -- The `sid` of its access tokens.
    id            uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES users,
    user_agent    text        NOT NULL CONSTRAINT sessions_user_agent_length CHECK (char_length(user_agent) <= 200),
    create_time   timestamptz NOT NULL DEFAULT now(),
    use_time      timestamptz NOT NULL DEFAULT now(),
    -- When it ends unless it is used, and when it ends in any case.
    idle_time     timestamptz NOT NULL,
    end_time      timestamptz NOT NULL,
    revoke_time   timestamptz,
    revoke_reason text CONSTRAINT sessions_revoke_reason_known
        CHECK (revoke_reason IN ('LOGGED_OUT', 'REVOKED', 'PASSWORD_CHANGED', 'PASSWORD_RESET', 'DISABLED', 'TOKEN_REUSED')),
    CONSTRAINT sessions_revoked CHECK ((revoke_time IS NULL) = (revoke_reason IS NULL))
);
CREATE INDEX sessions_of_user ON sessions (user_id, id DESC) WHERE revoke_time IS NULL;
-- What replicas read to know revocations within a second.
CREATE INDEX sessions_revocations ON sessions (revoke_time) WHERE revoke_time IS NOT NULL;
-- For the sweeper.
CREATE INDEX sessions_ends ON sessions (end_time);

-- Every refresh token that a session has had, so that an old one gives its thief away. One of a session is unused: the newest.
CREATE TABLE refresh_tokens (
    -- SHA-256 of the token.
    hash       bytea       PRIMARY KEY,
    session_id uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    -- When its successor was made.
    use_time   timestamptz
);
CREATE UNIQUE INDEX refresh_tokens_newest ON refresh_tokens (session_id) WHERE use_time IS NULL;
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);

-- What was done to accounts; written in the transaction of the change.
CREATE TABLE audit_events (
    -- UUIDv7, so its order is that of creation.
    id          uuid        PRIMARY KEY,
    action      text        NOT NULL,
    actor_id    uuid        REFERENCES users,
    user_id     uuid        NOT NULL REFERENCES users,
    details     jsonb       NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_events_of_user ON audit_events (user_id, id DESC);
CREATE INDEX audit_events_of_actor ON audit_events (actor_id, id DESC);
CREATE INDEX audit_events_of_action ON audit_events (action, id DESC);
