CREATE TABLE identity.users (
    id uuid PRIMARY KEY,
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    password_hash text NOT NULL,
    roles text[] NOT NULL CHECK (
        roles <@ ARRAY['user', 'organizer', 'admin'] AND 'user' = ANY (roles)
    ),
    version bigint NOT NULL DEFAULT 1,  -- grows with every change
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
-- One account an address, in whatever case it is written.
CREATE UNIQUE INDEX users_email_key ON identity.users (lower(email));
-- Admins are few; role changes lock them all to keep at least one.
CREATE INDEX users_admin_idx ON identity.users (id) WHERE 'admin' = ANY (roles);
