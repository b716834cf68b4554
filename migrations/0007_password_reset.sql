-- Links for a new password, and mail.

-- What was asked for, by whoever, for whatever address: one row each, whether or not the address has an account, so that
-- asking takes the same time. It lives until a replica has looked the address up.
CREATE TABLE password_reset_requests (
    id           uuid        PRIMARY KEY,
    -- The e-mail address, encrypted.
    sealed_email text        NOT NULL,
    create_time  timestamptz NOT NULL DEFAULT now()
);

-- The newest token of a user, the only one that is good.
CREATE TABLE password_resets (
    user_id     uuid        PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    -- SHA-256 of the token.
    hash        bytea       NOT NULL CONSTRAINT password_resets_hash_key UNIQUE,
    expire_time timestamptz NOT NULL
);
-- For the sweeper.
CREATE INDEX password_resets_ends ON password_resets (expire_time);

-- Mail that is to be sent. A row is written in the transaction of what the mail is about, and goes once it was sent.
CREATE TABLE outbox (
    -- UUIDv7; the mail's own id, too.
    id            uuid        PRIMARY KEY,
    kind          text        NOT NULL CONSTRAINT outbox_kind_known CHECK (kind IN ('PASSWORD_RESET')),
    user_id       uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    -- What only the mail may say, encrypted: the token.
    sealed_secret text        NOT NULL,
    tries         integer     NOT NULL DEFAULT 0,
    next_time     timestamptz NOT NULL DEFAULT now(),
    create_time   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_due ON outbox (next_time);
CREATE INDEX outbox_of_user ON outbox (user_id);
