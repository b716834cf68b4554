-- Who someone is.
CREATE TABLE users (
    id            uuid        PRIMARY KEY,
    -- Trimmed, lower case, domain in ASCII.
    email         text        NOT NULL CONSTRAINT users_email_length CHECK (octet_length(email) BETWEEN 3 AND 254),
    display_name  text        NOT NULL CONSTRAINT users_display_name_length CHECK (char_length(display_name) BETWEEN 1 AND 100),
    -- PHC string.
    password_hash text        NOT NULL,
    role          text        NOT NULL CONSTRAINT users_role_known CHECK (role IN ('CUSTOMER', 'AGENT', 'ADMIN')),
    create_time   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_email_key UNIQUE (email)
);
