-- Statements of the outbox and the inbox. {schema} is the service's own schema, put
-- in by `statements`; everything else is a parameter.

-- name: append_messages
-- Add events in the order given, which is the order of their ids.
INSERT INTO {schema}.outbox
    (message_id, type, aggregate_id, aggregate_version, partition_id, payload, headers, occurred_at)
SELECT message_id, type, aggregate_id, aggregate_version, partition_id, payload, headers, occurred_at
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::uuid[], $6::json[],
            $7::json[], $8::timestamptz[])
     WITH ORDINALITY AS event (message_id, type, aggregate_id, aggregate_version, partition_id,
                               payload, headers, occurred_at, position)
ORDER BY position

-- name: claim_heads
-- Lock the oldest pending event of up to $1 aggregates that no other relay works on.
-- Only a head may leave: its successors become heads once it is deleted, so an
-- aggregate's order holds with any number of relays. A locked head hides its
-- successors too, because it is still there to be found by NOT EXISTS.
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
-- Forget what the broker has confirmed.
DELETE FROM {schema}.outbox WHERE id = ANY($1::bigint[])

-- name: back_off
-- Let refused events wait: 1, 2, 4, … seconds, at most a minute.
UPDATE {schema}.outbox
SET attempts = attempts + 1,
    available_at = now() + make_interval(secs => least(60, power(2, least(attempts, 6))))
WHERE id = ANY($1::bigint[])

-- name: measure_backlog
-- How many events wait, and since when the oldest. Counted up to $1, so that measuring a
-- large backlog does not slow down its end; what is more, PostgreSQL's statistics know.
SELECT CASE WHEN counted < $1 THEN counted
            ELSE greatest(counted, pg_stat_get_live_tuples('{schema}.outbox'::regclass))
       END AS pending,
       coalesce(extract(epoch FROM now() - (
           SELECT occurred_at FROM {schema}.outbox ORDER BY id LIMIT 1)), 0)::float8 AS oldest_age
FROM (SELECT count(*) AS counted
      FROM (SELECT FROM {schema}.outbox LIMIT $1) AS first) AS bounded

-- name: wake_relay
-- Tell listening relays that something was committed.
SELECT pg_notify('{schema}_outbox', '')

-- name: record_message
-- Note that a consumer has seen an event; touches no row when it already had.
INSERT INTO {schema}.inbox (consumer, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: prune_inbox
-- Forget up to $2 of the events seen before $1; served by inbox_received_at_idx. Rows that
-- somebody else prunes just now are left to them.
DELETE FROM {schema}.inbox
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {schema}.inbox
    WHERE received_at < $1
    ORDER BY received_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED))
