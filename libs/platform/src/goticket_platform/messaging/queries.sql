-- Statements of the outbox and the inbox. `statements` replaces {schema} by the schema of the
-- service; everything else is a parameter.

-- name: append_messages
-- Insert messages in the order given, which becomes the order of their ids.
INSERT INTO {schema}.outbox
    (message_id, type, aggregate_id, aggregate_version, partition_id, payload, headers, occurred_at)
SELECT message_id, type, aggregate_id, aggregate_version, partition_id, payload, headers, occurred_at
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::uuid[], $6::json[],
            $7::json[], $8::timestamptz[])
     WITH ORDINALITY AS message (message_id, type, aggregate_id, aggregate_version, partition_id,
                                 payload, headers, occurred_at, position)
ORDER BY position

-- name: claim_heads
-- Lock the oldest message of up to $1 aggregates that no other relay has locked. Only the oldest
-- message of an aggregate may be published: the next one becomes the oldest when the first is
-- deleted, so the order holds with any number of relays. NOT EXISTS also finds locked rows, so a
-- locked message keeps its successors from being claimed.
SELECT id, message_id, type, aggregate_id, aggregate_version, partition_id,
       payload::text AS payload, headers::text AS headers, occurred_at, attempts
FROM {schema}.outbox AS head
WHERE available_at <= now()
  AND NOT EXISTS (
      SELECT FROM {schema}.outbox AS earlier
      WHERE earlier.aggregate_id = head.aggregate_id AND earlier.id < head.id)
ORDER BY id
LIMIT $1
FOR UPDATE OF head SKIP LOCKED

-- name: delete_published
-- Delete messages that the broker has confirmed.
DELETE FROM {schema}.outbox WHERE id = ANY($1::bigint[])

-- name: delay_rejected
-- Delay messages that the broker has rejected: by 1, 2, 4, … seconds, at most a minute.
UPDATE {schema}.outbox
SET attempts = attempts + 1,
    available_at = now() + make_interval(secs => least(60, power(2, least(attempts, 6))))
WHERE id = ANY($1::bigint[])

-- name: measure_backlog
-- The number of pending messages and the age of the oldest (seconds). Rows are counted up to $1,
-- because counting a large backlog would slow down the relay; above it PostgreSQL's statistics
-- give an estimate.
SELECT CASE WHEN counted < $1 THEN counted
            ELSE greatest(counted, pg_stat_get_live_tuples('{schema}.outbox'::regclass))
       END AS pending,
       coalesce(extract(epoch FROM now() - (
           SELECT occurred_at FROM {schema}.outbox ORDER BY id LIMIT 1)), 0)::float8 AS oldest_age
FROM (SELECT count(*) AS counted
      FROM (SELECT FROM {schema}.outbox LIMIT $1) AS first) AS bounded

-- name: notify_relays
-- Notify the listening relays that messages were committed.
SELECT pg_notify('{schema}_outbox', '')

-- name: record_message
-- Record that a consumer handles a message. Affects no row when it is already recorded.
INSERT INTO {schema}.inbox (consumer, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: prune_inbox
-- Delete up to $2 of the messages received before $1; served by inbox_received_at_idx. Rows that
-- another process is deleting are skipped.
DELETE FROM {schema}.inbox
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {schema}.inbox
    WHERE received_at < $1
    ORDER BY received_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED))
