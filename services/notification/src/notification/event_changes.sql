-- name: record_version
-- Store version $2 of event $1 with its facts $3 and end $4, unless a newer one is known. The first
-- version of an event is what its buyers know. A later one that differs from it is announced $5
-- after the last change and at most $6 after the first.
INSERT INTO notification.events AS known
    (event_id, version, facts, ends_at, announced_version, announced_facts)
VALUES ($1, $2, $3::jsonb, $4, $2, $3::jsonb)
ON CONFLICT (event_id) DO UPDATE
SET version = excluded.version,
    facts = excluded.facts,
    ends_at = excluded.ends_at,
    changed_at = CASE
        WHEN excluded.facts = known.announced_facts THEN NULL
        ELSE coalesce(known.changed_at, clock_timestamp()) END,
    due_at = CASE
        WHEN excluded.facts = known.announced_facts THEN NULL
        WHEN excluded.facts = known.facts THEN known.due_at
        ELSE least(clock_timestamp() + $5::interval,
                   coalesce(known.changed_at, clock_timestamp()) + $6::interval) END
WHERE known.version < excluded.version

-- name: record_earlier_version
-- Messages may arrive out of order. Version $2 with its facts $3 is older than the first one that
-- was received: buyers know this one. It is announced after $4 if it differs from the newest.
UPDATE notification.events
SET announced_version = $2,
    announced_facts = $3::jsonb,
    changed_at = CASE WHEN facts = $3::jsonb THEN NULL
                      ELSE coalesce(changed_at, clock_timestamp()) END,
    due_at = CASE WHEN facts = $3::jsonb THEN NULL
                  ELSE coalesce(due_at, clock_timestamp() + $4::interval) END
WHERE event_id = $1 AND NOT is_announced AND announced_version > $2

-- name: record_cancellation
-- Version $2 of event $1 is cancelled: booking's messages tell the buyers, and nothing else about
-- the event is announced any more.
INSERT INTO notification.events AS known
    (event_id, version, facts, ends_at, announced_version, announced_facts, is_announced)
VALUES ($1, $2, $3::jsonb, $4, $2, $3::jsonb, true)
ON CONFLICT (event_id) DO UPDATE
SET version = greatest(known.version, excluded.version),
    changed_at = NULL, due_at = NULL, is_announced = true

-- name: finish_announcements
-- Finish the announcements of event $1. It is a statement after `record_cancellation`: that one
-- waits for a worker that starts an announcement, and only a later snapshot shows its row.
UPDATE notification.announcements
SET finished_at = clock_timestamp()
WHERE event_id = $1 AND finished_at IS NULL

-- name: supersede_deliveries
-- Supersede up to $2 waiting deliveries about changes of event $1, skipping those that a sender
-- claims at this moment.
UPDATE notification.deliveries AS delivery
SET status = 'superseded', updated_at = now()
FROM (SELECT message_id
      FROM notification.deliveries
      WHERE event_id = $1 AND sender_group = 'event_changes' AND status = 'pending'
      LIMIT $2
      FOR UPDATE SKIP LOCKED) AS waiting
WHERE delivery.message_id = waiting.message_id

-- name: supersede_held_deliveries
-- Supersede the deliveries about changes of event $1 that wait for another attempt, or that a
-- worker prepares. One that is being sent stays.
UPDATE notification.deliveries
SET status = 'superseded', lease_token = NULL, due_at = NULL, updated_at = now()
WHERE event_id = $1 AND sender_group = 'event_changes' AND status IN ('deferred', 'claimed')

-- name: start_announcements
-- Start the announcement of up to $1 events whose changes are due. Changes of an event that is over
-- are not announced.
WITH due AS (
    SELECT event_id, version, facts, announced_facts, ends_at
    FROM notification.events
    WHERE due_at <= clock_timestamp()
    ORDER BY due_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), started AS (
    INSERT INTO notification.announcements (announcement_id, event_id, version, event_before)
    SELECT gen_random_uuid(), event_id, version, announced_facts
    FROM due
    WHERE ends_at > clock_timestamp()
)
UPDATE notification.events AS event
SET announced_version = due.version, announced_facts = due.facts, is_announced = true,
    changed_at = NULL, due_at = NULL
FROM due
WHERE event.event_id = due.event_id

-- name: unfinished_announcements
-- Up to $1 announcements that have not reached all buyers, oldest first, after the one that was
-- created at $2 with id $3.
SELECT announcement_id, event_id, version, after_booking_id, created_at
FROM notification.announcements
WHERE finished_at IS NULL AND (created_at, announcement_id) > ($2, $3)
ORDER BY created_at, announcement_id
LIMIT $1

-- name: enqueue_announcement
-- Insert the deliveries of one page of buyers and move the announcement's position from booking $2
-- to $3, both or neither. If another worker has moved it, nothing happens. $4: it was the last page.
-- A buyer who already has one delivery about this announcement gets no second one. So does a buyer
-- whose delivery about an earlier change is waiting: that one shows the event as it is when it is
-- sent, and as it was before the earlier change.
WITH moved AS (
    UPDATE notification.announcements
    SET after_booking_id = $3,
        finished_at = CASE WHEN $4 THEN clock_timestamp() END
    WHERE announcement_id = $1 AND after_booking_id = $2 AND finished_at IS NULL
    RETURNING event_id, event_before
)
INSERT INTO notification.deliveries
    (message_id, event_id, booking_id, booking_version, buyer_id, kind, ticket_count,
     sender_group, status, fair_at, event_before)
SELECT buyer.message_id, moved.event_id, buyer.subject_id, 0, buyer.buyer_id, 'event_change', 0,
       'event_changes', 'pending', clock_timestamp(), moved.event_before
FROM moved
CROSS JOIN unnest($5::uuid[], $6::uuid[], $7::uuid[]) AS buyer (message_id, subject_id, buyer_id)
WHERE NOT EXISTS (SELECT FROM notification.deliveries AS waiting
                  WHERE waiting.booking_id = buyer.subject_id
                    AND waiting.status IN ('pending', 'deferred'))
ON CONFLICT (message_id) DO NOTHING

-- name: purge_events
-- Delete up to $2 events that ended before $1.
DELETE FROM notification.events
WHERE event_id IN (
    SELECT event_id
    FROM notification.events
    WHERE ends_at < $1
    ORDER BY ends_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)

-- name: purge_announcements
-- Delete up to $2 announcements that were finished before $1.
DELETE FROM notification.announcements
WHERE announcement_id IN (
    SELECT announcement_id
    FROM notification.announcements
    WHERE finished_at < $1
    ORDER BY finished_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
