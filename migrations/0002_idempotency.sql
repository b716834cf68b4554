-- The first response to a request_id, so that a repeat gets it again. Written in the transaction of the change itself.
CREATE TABLE idempotency_keys (
    user_id     uuid        NOT NULL REFERENCES users,
    request_id  uuid        NOT NULL,
    -- Keyed hash of method and payload.
    fingerprint bytea       NOT NULL,
    -- Null only inside the transaction that claims the key.
    response    jsonb,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, request_id)
);
-- For the sweeper: keys live 24 h.
CREATE INDEX idempotency_keys_age ON idempotency_keys (create_time);
