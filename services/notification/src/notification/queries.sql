-- name: begin
-- Remember an event; a row comes back when it is new. Letters about one booking are sent
-- one after another, whichever worker sends them.
WITH remembered AS (
    INSERT INTO notification.inbox (consumer, message_id) VALUES ($1, $2)
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
SELECT pg_advisory_xact_lock(hashtext('notification.bookings'), hashtext($3::uuid::text))
FROM remembered

-- name: record_due
-- Note a letter as $7, or as $8 when one was due for a newer version of the booking. A
-- statement of its own: only its snapshot sees what was committed before the lock was had.
-- Served by deliveries_booking_idx.
INSERT INTO notification.deliveries AS known
    (message_id, booking_id, booking_version, kind, recipient, smtp_message_id, status)
SELECT $1, $2, $3, $4, $5, $6, CASE WHEN latest.version > $3 THEN $8 ELSE $7 END
FROM (SELECT max(booking_version) AS version
      FROM notification.deliveries WHERE booking_id = $2) AS latest
ON CONFLICT (message_id) DO UPDATE
SET status = excluded.status,
    reason = NULL,
    attempts = known.attempts + 1,
    updated_at = now()
WHERE known.status <> 'sent'
RETURNING status

-- name: record_delivery
-- Note what became of a letter. One that was sent stays sent.
INSERT INTO notification.deliveries AS known
    (message_id, booking_id, booking_version, kind, recipient, smtp_message_id, status, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (message_id) DO UPDATE
SET status = excluded.status,
    reason = excluded.reason,
    attempts = known.attempts + 1,
    updated_at = now()
WHERE known.status <> 'sent'
