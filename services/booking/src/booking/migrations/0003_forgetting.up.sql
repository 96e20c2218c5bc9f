-- Find what may be forgotten: handled messages and idempotency keys, oldest first.
CREATE INDEX inbox_received_at_idx ON booking.inbox (received_at);
CREATE INDEX idempotency_keys_created_at_idx ON booking.idempotency_keys (created_at);
