DROP INDEX booking.idempotency_keys_created_at_idx;
DROP INDEX booking.inbox_received_at_idx;
