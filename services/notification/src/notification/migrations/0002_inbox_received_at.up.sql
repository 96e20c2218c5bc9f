-- Finds what the inbox may forget.
CREATE INDEX inbox_received_at_idx ON notification.inbox (received_at);
