-- Tries that are counted before anything costly is done for them, by all replicas together.

CREATE TABLE throttled_accounts (
    -- Keyed hash of what is tried and of the normalised e-mail address, which need not have an account.
    key       bytea       PRIMARY KEY,
    -- Without success in between, each within a day of the one before.
    tries     integer     NOT NULL CONSTRAINT throttled_accounts_tries CHECK (tries > 0),
    -- When the newest of them was let through, and before when the next one is not.
    try_time  timestamptz NOT NULL,
    next_time timestamptz NOT NULL
);
-- For the sweeper.
CREATE INDEX throttled_accounts_age ON throttled_accounts (try_time);

CREATE TABLE throttled_addresses (
    -- Keyed hash of what is tried and of the address.
    key       bytea         PRIMARY KEY,
    -- Of those tries without success that may still count.
    try_times timestamptz[] NOT NULL,
    last_time timestamptz   NOT NULL
);
-- For the sweeper.
CREATE INDEX throttled_addresses_age ON throttled_addresses (last_time);
