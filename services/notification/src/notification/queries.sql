-- name: lock_booking
-- Serialize claims for one booking until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('notification.bookings'), hashtext($1::uuid::text))

-- name: claim
-- Create or take over delivery $1 and lease it for $6. It becomes superseded instead if a
-- delivery for a newer version of the booking exists. The result is 'sending', 'superseded',
-- 'sent' (already sent) or 'busy' (a delivery about this booking has a live lease).
-- A statement after lock_booking: its snapshot includes what earlier holders committed.
-- Served by deliveries_booking_idx.
WITH booking AS (
    SELECT coalesce(max(booking_version), 0) AS newest_version,
           coalesce(bool_or(lease_expires_at > clock_timestamp()), false) AS is_leased,
           coalesce(bool_or(message_id = $1 AND status = 'sent'), false) AS is_sent
    FROM notification.deliveries
    WHERE booking_id = $2
), claimed AS (
    INSERT INTO notification.deliveries AS delivery
        (message_id, booking_id, booking_version, kind, status, lease_token, lease_expires_at)
    SELECT $1, $2, $3, $4,
           CASE WHEN newest_version > $3 THEN 'superseded' ELSE 'sending' END,
           CASE WHEN newest_version > $3 THEN NULL ELSE $5::uuid END,
           CASE WHEN newest_version > $3 THEN NULL ELSE clock_timestamp() + $6::interval END
    FROM booking
    WHERE NOT is_leased AND NOT is_sent
    ON CONFLICT (message_id) DO UPDATE
    SET status = excluded.status,
        lease_token = excluded.lease_token,
        lease_expires_at = excluded.lease_expires_at,
        reason = NULL,
        attempts = delivery.attempts + 1,
        updated_at = now()
    RETURNING status
)
SELECT coalesce(claimed.status, CASE WHEN booking.is_sent THEN 'sent' ELSE 'busy' END)
FROM booking LEFT JOIN claimed ON true

-- name: complete
-- Record the outcome $3 of delivery $1 and release its lease $2. A worker whose lease was taken
-- over records only that it has sent the e-mail.
UPDATE notification.deliveries
SET status = $3,
    reason = $4,
    lease_token = NULL,
    lease_expires_at = NULL,
    updated_at = now()
WHERE message_id = $1 AND (lease_token = $2 OR ($3 = 'sent' AND status <> 'sent'))

-- name: purge
-- Delete up to $2 deliveries created before $1, except those with a live lease. Skips rows that
-- another process deletes. Served by deliveries_created_at_idx.
DELETE FROM notification.deliveries
WHERE message_id IN (
    SELECT message_id
    FROM notification.deliveries
    WHERE created_at < $1
      AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
    ORDER BY created_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
