-- Messages that a consumer has handled, written in the transaction of their effect.
CREATE TABLE {schema}.inbox (
    consumer text NOT NULL,
    message_id uuid NOT NULL,           -- CloudEvents id
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);
-- Finds the oldest rows to prune.
CREATE INDEX inbox_received_at_idx ON {schema}.inbox (received_at);
