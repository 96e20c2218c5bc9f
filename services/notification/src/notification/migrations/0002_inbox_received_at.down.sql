DROP INDEX notification.inbox_received_at_idx;
