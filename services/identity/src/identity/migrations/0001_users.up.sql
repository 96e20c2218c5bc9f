CREATE TABLE identity.users (
    id uuid PRIMARY KEY,
    -- Lower case, and its domain in A-labels: an address has one form.
    email text NOT NULL CHECK (
        length(email) BETWEEN 3 AND 254 AND email ~ '^[!-~]+$' AND email !~ '[A-Z]'
    ),
    name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 800),
    password_hash text NOT NULL,
    roles text[] NOT NULL CHECK (
        roles <@ ARRAY['user', 'organizer', 'admin'] AND 'user' = ANY (roles)
    ),
    version bigint NOT NULL DEFAULT 1,  -- grows with every change
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
-- An address has one account.
CREATE UNIQUE INDEX users_email_key ON identity.users (email);
-- Role changes lock all admins, so that at least one remains.
CREATE INDEX users_admin_idx ON identity.users (id) WHERE 'admin' = ANY (roles);
