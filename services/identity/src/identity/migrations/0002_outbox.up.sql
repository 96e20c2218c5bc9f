CREATE TABLE identity.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id uuid NOT NULL,            -- CloudEvents id
    type text NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_version bigint NOT NULL,
    partition_id uuid NOT NULL,
    payload jsonb NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}', -- traceparent and friends
    occurred_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    available_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_aggregate_idx ON identity.outbox (aggregate_id, id);
