-- Messages to publish, written in the transaction that causes them.
CREATE TABLE {schema}.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id uuid NOT NULL,           -- CloudEvents id
    type text NOT NULL,                 -- CloudEvents type and routing key
    aggregate_id uuid NOT NULL,
    aggregate_version bigint NOT NULL,
    partition_id uuid NOT NULL,
    -- json, not jsonb: both are written once and read once, whole. jsonb parses and serializes
    -- them, which was a fifth of what a booking cost PostgreSQL.
    payload json NOT NULL,
    headers json NOT NULL DEFAULT '{}', -- trace context
    occurred_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    available_at timestamptz NOT NULL DEFAULT now()
);
-- Finds the oldest message of an aggregate.
CREATE INDEX outbox_aggregate_idx ON {schema}.outbox (aggregate_id, id);
