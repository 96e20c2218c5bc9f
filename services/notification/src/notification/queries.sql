-- name: lock_booking
-- Letters about one booking are sent one after another, whichever worker sends them.
SELECT pg_advisory_xact_lock(hashtext('notification.bookings'), hashtext($1::uuid::text))

-- name: latest_version
-- The newest version of a booking that a letter was due for; served by deliveries_booking_idx.
SELECT max(booking_version) FROM notification.deliveries WHERE booking_id = $1

-- name: record_delivery
-- Note what became of a letter. One that was sent stays sent.
INSERT INTO notification.deliveries AS known
    (event_id, booking_id, booking_version, kind, recipient, message_id, status, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (event_id) DO UPDATE
SET status = excluded.status,
    reason = excluded.reason,
    attempts = known.attempts + 1,
    updated_at = now()
WHERE known.status <> 'sent'
