-- name: enqueue
-- Insert the deliveries of new messages; known messages are ignored. A delivery for an older
-- version of a booking than a stored or inserted one is superseded, also if it is claimed.
-- fair_at: a buyer's first waiting delivery starts now, each further one $11 later per ticket of
-- those before it (start-time fair queueing). Returns the kinds of the superseded ones.
WITH input AS (
    SELECT *
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[], $6::text[],
                $7::text[], $8::integer[], $9::text[], $10::text[])
         WITH ORDINALITY AS message (message_id, event_id, booking_id, booking_version, buyer_id,
                                     kind, cause, ticket_count, sender_group, traceparent, position)
), inserted AS (
    INSERT INTO notification.deliveries
        (message_id, event_id, booking_id, booking_version, buyer_id, kind, cause, ticket_count,
         sender_group, traceparent, status, fair_at)
    SELECT message_id, event_id, booking_id, booking_version, buyer_id, kind, cause, ticket_count,
           sender_group, traceparent,
           CASE WHEN EXISTS (SELECT FROM notification.deliveries AS newer
                             WHERE newer.booking_id = input.booking_id
                               AND newer.booking_version > input.booking_version)
                  OR EXISTS (SELECT FROM input AS newer
                             WHERE newer.booking_id = input.booking_id
                               AND newer.booking_version > input.booking_version)
                THEN 'superseded' ELSE 'pending' END,
           greatest(clock_timestamp(), last.ends_at)
               + $11::interval * (sum(1 + ticket_count) OVER (PARTITION BY buyer_id ORDER BY position)
                                  - (1 + ticket_count))
    FROM input
    LEFT JOIN LATERAL (
        SELECT waiting.fair_at + $11::interval * (1 + waiting.ticket_count) AS ends_at
        FROM notification.deliveries AS waiting
        WHERE waiting.buyer_id = input.buyer_id AND waiting.status = 'pending'
        ORDER BY waiting.fair_at DESC
        LIMIT 1
    ) AS last ON true
    ORDER BY position
    ON CONFLICT (message_id) DO NOTHING
    RETURNING kind, status
), superseded AS (
    UPDATE notification.deliveries AS older
    SET status = 'superseded', lease_token = NULL, due_at = NULL, updated_at = now()
    FROM (SELECT booking_id, max(booking_version) AS version FROM input GROUP BY booking_id) AS newest
    WHERE older.booking_id = newest.booking_id
      AND older.booking_version < newest.version
      AND older.status IN ('pending', 'deferred', 'claimed')
    RETURNING older.kind
)
SELECT kind FROM inserted WHERE status = 'superseded' UNION ALL SELECT kind FROM superseded

-- name: claim
-- Claim about $2 pending deliveries of group $1 for $4, with the token $3: the same number from
-- each of the next events after event $5, and from each event in the order of fair_at.
-- A delivery waits while another one about its booking is being sent.
WITH RECURSIVE events AS (
    (SELECT event_id, 1 AS position
     FROM notification.deliveries
     WHERE status = 'pending' AND sender_group = $1 AND event_id > $5
     ORDER BY event_id LIMIT 1)
    UNION ALL
    SELECT next.event_id, events.position + 1
    FROM events CROSS JOIN LATERAL (
        SELECT event_id
        FROM notification.deliveries
        WHERE status = 'pending' AND sender_group = $1 AND event_id > events.event_id
        ORDER BY event_id LIMIT 1
    ) AS next
    WHERE events.position < $2
), candidates AS MATERIALIZED (
    SELECT locked.message_id, locked.fair_at, events.position,
           row_number() OVER (PARTITION BY events.event_id ORDER BY locked.fair_at) AS turn
    FROM events CROSS JOIN LATERAL (
        SELECT message_id, fair_at
        FROM notification.deliveries AS delivery
        WHERE status = 'pending' AND sender_group = $1 AND delivery.event_id = events.event_id
          AND NOT EXISTS (SELECT FROM notification.deliveries AS other
                          WHERE other.booking_id = delivery.booking_id
                            AND other.status = 'sending')
        ORDER BY fair_at
        LIMIT (SELECT ceil($2::numeric / count(*)) FROM events AS all_events)
        FOR UPDATE OF delivery SKIP LOCKED
    ) AS locked
), chosen AS (
    SELECT message_id, turn, position FROM candidates ORDER BY turn, position LIMIT $2
), claimed AS (
    UPDATE notification.deliveries AS delivery
    SET status = 'claimed',
        lease_token = $3,
        due_at = clock_timestamp() + $4::interval,
        attempts = attempts + 1,
        updated_at = now()
    FROM chosen
    WHERE delivery.message_id = chosen.message_id
    RETURNING delivery.*, chosen.turn, chosen.position
)
SELECT message_id, event_id, booking_id, booking_version, buyer_id, kind, cause, ticket_count,
       traceparent, attempts, failures, event_before, position
FROM claimed
ORDER BY turn, position

-- name: begin
-- Mark claimed deliveries as being sent, for $3; a repeat by the same claim has the same result.
-- A claim that has expired, or was taken over or superseded, is left out. So is one while another
-- delivery about its booking is being sent.
UPDATE notification.deliveries AS delivery
SET status = 'sending', due_at = clock_timestamp() + $3::interval, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[]) AS claim (message_id, lease_token)
WHERE delivery.message_id = claim.message_id
  AND delivery.lease_token = claim.lease_token
  AND delivery.status IN ('claimed', 'sending')
  AND delivery.due_at > clock_timestamp()
  AND NOT EXISTS (SELECT FROM notification.deliveries AS other
                  WHERE other.booking_id = delivery.booking_id
                    AND other.message_id <> delivery.message_id
                    AND (other.status = 'sending'
                         OR other.booking_version > delivery.booking_version))
RETURNING delivery.message_id

-- name: renew
-- Extend claims of a worker that still prepares them, by $3 from now.
UPDATE notification.deliveries AS delivery
SET due_at = clock_timestamp() + $3::interval
FROM unnest($1::uuid[], $2::uuid[]) AS claim (message_id, lease_token)
WHERE delivery.message_id = claim.message_id
  AND delivery.lease_token = claim.lease_token
  AND delivery.status = 'claimed'

-- name: record
-- Record outcomes and release the leases. A worker whose lease was taken over records only that
-- it has sent the e-mail.
UPDATE notification.deliveries AS delivery
SET status = outcome.status,
    reason = outcome.reason,
    lease_token = NULL,
    due_at = clock_timestamp() + outcome.retry_after,
    failures = delivery.failures + outcome.failures,
    updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::interval[], $6::integer[])
     AS outcome (message_id, lease_token, status, reason, retry_after, failures)
WHERE delivery.message_id = outcome.message_id
  AND (delivery.lease_token = outcome.lease_token
       OR (outcome.status = 'sent' AND delivery.status <> 'sent'))

-- name: release_due
-- Make up to $1 deliveries pending again whose back-off or lease has ended. One with an expired
-- lease is superseded instead if there is a delivery for a newer version of its booking.
WITH due AS (
    SELECT message_id
    FROM notification.deliveries
    WHERE status IN ('deferred', 'claimed', 'sending') AND due_at <= clock_timestamp()
    ORDER BY due_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE notification.deliveries AS delivery
SET status = CASE WHEN EXISTS (SELECT FROM notification.deliveries AS newer
                               WHERE newer.booking_id = delivery.booking_id
                                 AND newer.booking_version > delivery.booking_version)
                  THEN 'superseded' ELSE 'pending' END,
    lease_token = NULL,
    due_at = NULL,
    updated_at = now()
FROM due
WHERE delivery.message_id = due.message_id

-- name: measure_backlog
-- Unfinished deliveries up to $1, the age of the oldest (seconds), and refused ones up to $1.
SELECT (SELECT count(*) FROM (
            SELECT FROM notification.deliveries
            WHERE status IN ('pending', 'deferred', 'claimed', 'sending') LIMIT $1) AS counted
       ) AS unfinished,
       coalesce(extract(epoch FROM clock_timestamp() - (
            SELECT created_at FROM notification.deliveries
            WHERE status IN ('pending', 'deferred', 'claimed', 'sending')
            ORDER BY created_at LIMIT 1)), 0)::float8 AS oldest_age,
       (SELECT count(*) FROM (
            SELECT FROM notification.deliveries WHERE status = 'refused' LIMIT $1) AS counted
       ) AS refused

-- name: list_refused
-- Up to $1 refused deliveries, oldest first.
SELECT message_id, booking_id, kind, reason, attempts, updated_at
FROM notification.deliveries
WHERE status = 'refused'
ORDER BY created_at
LIMIT $1

-- name: replay_refused
-- Make up to $1 refused deliveries pending again, oldest first.
WITH chosen AS (
    SELECT message_id
    FROM notification.deliveries
    WHERE status = 'refused'
    ORDER BY created_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE notification.deliveries AS delivery
SET status = 'pending', failures = 0, fair_at = clock_timestamp(), updated_at = now()
FROM chosen
WHERE delivery.message_id = chosen.message_id

-- name: purge
-- Delete up to $2 finished deliveries created before $1. Unfinished ones stay, however old.
-- Skips rows that another process deletes.
DELETE FROM notification.deliveries
WHERE message_id IN (
    SELECT message_id
    FROM notification.deliveries
    WHERE status IN ('sent', 'superseded', 'refused') AND created_at < $1
    ORDER BY created_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
