-- Every statement of booking. Lock order: bookings, event, inventory, idempotency keys.
-- Columns of tables are named, never `*`: a migration that adds one must not change the
-- result of a statement that running servers have prepared.
-- LATERAL … OFFSET 0 keeps the planner to the order that is written, whatever it believes
-- of the tables' sizes: from what is asked for along an index to the rows.

-- name: lock_inventory
-- Lock ticket types in id order; a null list means all of the event. A limit per buyer
-- counts over all types: then they are all locked, or two bookings could pass it at once.
SELECT ticket_type_id
FROM booking.inventory
WHERE event_id = $1
  AND (
      $2::uuid[] IS NULL
      OR ticket_type_id = ANY ($2)
      OR EXISTS (SELECT FROM booking.events WHERE event_id = $1 AND max_per_buyer > 0)
  )
ORDER BY ticket_type_id
FOR UPDATE

-- name: lock_free_inventory
-- Lock ticket types of several events: all of those in $2, those named in $3, and all of
-- an event with a limit per buyer; but only what nobody else has locked. Whoever does
-- not wait needs no order.
SELECT i.event_id, i.ticket_type_id
FROM booking.inventory AS i
WHERE i.event_id = ANY ($1::uuid[])
  AND (
      i.event_id = ANY ($2::uuid[])
      OR i.ticket_type_id = ANY ($3::uuid[])
      OR EXISTS (
          SELECT FROM booking.events AS e WHERE e.event_id = i.event_id AND e.max_per_buyer > 0
      )
  )
FOR UPDATE SKIP LOCKED

-- name: stocks
-- Events with all their ticket types; a row per type, at least one per event.
SELECT e.event_id, e.organizer_id, e.name, e.location,
       e.timezone, e.starts_at, e.ends_at, e.currency, e.status, e.version,
       e.max_per_buyer, e.resync_after, i.ticket_type_id, i.position, i.name AS ticket_type_name, i.price,
       i.capacity, i.held, i.sold, i.max_per_booking, i.stock_version, i.active,
       i.max_per_buyer AS max_of_type_per_buyer
FROM booking.events AS e
LEFT JOIN LATERAL (
    SELECT ticket_type_id, position, name, price, capacity, held, sold, max_per_booking,
           stock_version, active, max_per_buyer
    FROM booking.inventory
    WHERE event_id = e.event_id
    OFFSET 0
) AS i ON true
WHERE e.event_id = ANY ($1::uuid[])

-- name: event
-- One event.
SELECT event_id, organizer_id, name, location, timezone, starts_at, ends_at, currency, status,
       version, max_per_buyer
FROM booking.events WHERE event_id = $1

-- name: lock_event
-- Lock an event against others who follow or shrink it.
SELECT 1 FROM booking.events WHERE event_id = $1 FOR UPDATE

-- name: follow_event
-- Store an event unless it is no newer; as old is fine for a resync ($12) that is due.
INSERT INTO booking.events AS e (
    event_id, organizer_id, name, location, timezone, starts_at, ends_at, currency, status,
    version, closing, max_per_buyer
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13)
ON CONFLICT (event_id) DO UPDATE
SET organizer_id = excluded.organizer_id,
    name = excluded.name,
    location = excluded.location,
    timezone = excluded.timezone,
    starts_at = excluded.starts_at,
    ends_at = excluded.ends_at,
    currency = excluded.currency,
    status = excluded.status,
    version = excluded.version,
    max_per_buyer = excluded.max_per_buyer,
    closing = e.closing OR (excluded.closing AND e.status <> 'cancelled')
WHERE e.version < excluded.version
   OR (e.version = excluded.version AND e.resync_after <= $12::timestamptz)
RETURNING event_id

-- name: save_resync_after
-- Say when to compare an event with the catalog, if at all.
UPDATE booking.events SET resync_after = $2 WHERE event_id = $1

-- name: finish_closing
-- Note that a cancelled event has no open booking left.
UPDATE booking.events AS e
SET closing = false
WHERE e.event_id = $1
  AND e.closing
  AND NOT EXISTS (
      SELECT FROM booking.bookings AS b
      WHERE b.event_id = $1 AND b.status IN ('held', 'confirmed')
  )

-- name: save_ticket_types
-- Store what ticket types are and how many there may be; never touches held and sold.
INSERT INTO booking.inventory AS i (
    event_id, ticket_type_id, position, name, price, capacity, max_per_booking, active,
    max_per_buyer
)
SELECT $1, t.*
FROM unnest($2::uuid[], $3::int[], $4::text[], $5::bigint[], $6::bigint[], $7::int[], $8::bool[],
    $9::int[])
    AS t
ON CONFLICT (event_id, ticket_type_id) DO UPDATE
SET position = excluded.position,
    name = excluded.name,
    price = excluded.price,
    capacity = excluded.capacity,
    max_per_booking = excluded.max_per_booking,
    active = excluded.active,
    max_per_buyer = excluded.max_per_buyer,
    stock_version = i.stock_version + 1
RETURNING event_id, ticket_type_id, held, sold, stock_version

-- name: move_stock
-- Change the counts of locked ticket types by the sum of a whole batch.
UPDATE booking.inventory AS i
SET held = i.held + m.held,
    sold = i.sold + m.sold,
    stock_version = i.stock_version + 1
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[])
    AS m (event_id, ticket_type_id, held, sold)
WHERE i.event_id = ANY ($1::uuid[])
  AND i.event_id = m.event_id AND i.ticket_type_id = m.ticket_type_id
RETURNING i.event_id, i.ticket_type_id, i.held, i.sold, i.stock_version

-- name: sale
-- Events as `stocks` reads them; the first row also tells what keys were used for.
SELECT e.event_id, e.organizer_id, e.name, e.location,
       e.timezone, e.starts_at, e.ends_at, e.currency, e.status, e.version,
       e.max_per_buyer, e.resync_after, i.ticket_type_id, i.position, i.name AS ticket_type_name, i.price,
       i.capacity, i.held, i.sold, i.max_per_booking, i.stock_version, i.active,
       i.max_per_buyer AS max_of_type_per_buyer,
       CASE WHEN row_number() OVER () = 1 THEN (
           SELECT jsonb_agg(jsonb_build_array(
               k.user_id, k.key, k.event_id, encode(k.fingerprint, 'hex'), k.booking_id))
           FROM unnest($2::uuid[], $3::text[]) AS w (user_id, key)
           CROSS JOIN LATERAL (
               SELECT user_id, key, event_id, fingerprint, booking_id
               FROM booking.idempotency_keys
               WHERE user_id = w.user_id AND key = w.key
               OFFSET 0
           ) AS k
       )::text END AS answers
FROM booking.events AS e
LEFT JOIN LATERAL (
    SELECT ticket_type_id, position, name, price, capacity, held, sold, max_per_booking,
           stock_version, active, max_per_buyer
    FROM booking.inventory
    WHERE event_id = e.event_id
    OFFSET 0
) AS i ON true
WHERE e.event_id = ANY ($1::uuid[])

-- name: taken
-- What buyers have of events, by ticket type; a hold counts with its first line.
-- From the buyer to the bookings, and from there to the lines.
SELECT w.event_id, w.user_id, i.ticket_type_id, sum(i.quantity)::bigint AS tickets,
       count(*) FILTER (WHERE b.status = 'held' AND i.position = 0) AS holds
FROM unnest($1::uuid[], $2::uuid[]) AS w (event_id, user_id)
CROSS JOIN LATERAL (
    SELECT id, status
    FROM booking.bookings
    WHERE user_id = w.user_id AND event_id = w.event_id AND status IN ('held', 'confirmed')
    OFFSET 0
) AS b
CROSS JOIN LATERAL (
    SELECT ticket_type_id, quantity, position
    FROM booking.booking_items
    WHERE event_id = w.event_id AND booking_id = b.id
    OFFSET 0
) AS i
GROUP BY w.event_id, w.user_id, i.ticket_type_id

-- name: add_sales
-- Insert a batch of bookings with all that belongs to them, and take them off the stock.
-- Keys come sorted. Foreign keys are checked at the end, when all rows are there.
WITH new_keys AS (
    INSERT INTO booking.idempotency_keys (
        created_at, user_id, key, fingerprint, event_id, booking_id
    )
    SELECT $1, k.*
    FROM unnest($2::uuid[], $3::text[], $4::bytea[], $5::uuid[], $6::uuid[]) AS k
),
new_bookings AS (
    INSERT INTO booking.bookings (
        created_at, version, event_id, id, user_id, buyer_email, buyer_name, status, currency,
        total, expires_at, confirmed_at
    )
    SELECT $1, 1, b.*
    FROM unnest(
        $7::uuid[], $8::uuid[], $9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[],
        $14::bigint[], $15::timestamptz[], $16::timestamptz[]
    ) AS b
),
new_items AS (
    INSERT INTO booking.booking_items (
        event_id, booking_id, position, ticket_type_id, ticket_type_name, quantity, unit_price
    )
    SELECT i.*
    FROM unnest(
        $17::uuid[], $18::uuid[], $19::int[], $20::uuid[], $21::text[], $22::int[], $23::bigint[]
    ) AS i
),
new_tickets AS (
    INSERT INTO booking.tickets (event_id, id, booking_id, user_id, ticket_type_id, code, status)
    SELECT t.*, 'valid'
    FROM unnest($24::uuid[], $25::uuid[], $26::uuid[], $27::uuid[], $28::uuid[], $29::text[]) AS t
),
new_events AS (
    INSERT INTO booking.outbox (
        partition_id, event_id, type, aggregate_id, aggregate_version, payload, headers,
        occurred_at
    )
    SELECT o.*
    FROM unnest(
        $30::uuid[], $31::uuid[], $32::text[], $33::uuid[], $34::bigint[], $35::json[],
        $36::json[], $37::timestamptz[]
    ) AS o
)
UPDATE booking.inventory AS i
SET held = i.held + m.held,
    sold = i.sold + m.sold,
    stock_version = i.stock_version + 1
FROM unnest($38::uuid[], $39::uuid[], $40::bigint[], $41::bigint[])
    AS m (event_id, ticket_type_id, held, sold)
WHERE i.event_id = ANY ($38::uuid[])
  AND i.event_id = m.event_id AND i.ticket_type_id = m.ticket_type_id
RETURNING i.event_id, i.ticket_type_id, i.held, i.sold, i.stock_version

-- name: add_tickets
-- Insert the tickets of a batch's bookings.
INSERT INTO booking.tickets (event_id, id, booking_id, user_id, ticket_type_id, code, status)
SELECT t.*, 'valid'
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[]) AS t

-- name: add_events
-- Put what happened to bookings into the outbox.
INSERT INTO booking.outbox (
    partition_id, event_id, type, aggregate_id, aggregate_version, payload, headers, occurred_at
)
SELECT o.*
FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::json[], $7::json[],
    $8::timestamptz[]
) AS o

-- name: change_bookings
-- Store the new state of locked bookings.
UPDATE booking.bookings AS b
SET status = c.status,
    version = c.version,
    expires_at = c.expires_at,
    confirmed_at = c.confirmed_at,
    closed_at = c.closed_at,
    hold_extended = c.hold_extended
FROM unnest(
    $2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[],
    $7::timestamptz[], $8::bool[]
) AS c (id, status, version, confirmed_at, closed_at, expires_at, hold_extended)
WHERE b.event_id = $1 AND b.id = ANY ($2::uuid[]) AND b.id = c.id

-- name: void_tickets
-- Let the tickets of bookings admit nobody any more.
UPDATE booking.tickets
SET status = 'void'
WHERE event_id = $1 AND booking_id = ANY ($2::uuid[])

-- name: lock_booking
-- Lock one booking.
SELECT event_id, id, user_id, buyer_email, buyer_name, status, currency, version, created_at,
       expires_at, confirmed_at, closed_at, hold_extended
FROM booking.bookings
WHERE event_id = $1 AND id = $2
FOR UPDATE

-- name: claim_due_holds
-- Lock holds of an event that have run out and that nobody else has locked.
SELECT event_id, id, user_id, buyer_email, buyer_name, status, currency, version, created_at,
       expires_at, confirmed_at, closed_at, hold_extended
FROM booking.bookings
WHERE event_id = $1 AND status = 'held' AND expires_at <= $2
ORDER BY expires_at
LIMIT $3
FOR UPDATE SKIP LOCKED

-- name: claim_open_bookings
-- Lock an event's next open bookings that nobody else has locked.
SELECT event_id, id, user_id, buyer_email, buyer_name, status, currency, version, created_at,
       expires_at, confirmed_at, closed_at, hold_extended
FROM booking.bookings
WHERE event_id = $1 AND id > $2 AND status IN ('held', 'confirmed')
ORDER BY id
LIMIT $3
FOR UPDATE SKIP LOCKED

-- name: bookings_by_key
-- Some bookings, by event and id.
SELECT b.event_id, b.id, b.user_id, b.buyer_email, b.buyer_name, b.status, b.currency, b.version,
       b.created_at, b.expires_at, b.confirmed_at, b.closed_at, b.hold_extended
FROM unnest($1::uuid[], $2::uuid[]) AS w (event_id, id)
CROSS JOIN LATERAL (
    SELECT event_id, id, user_id, buyer_email, buyer_name, status, currency, version, created_at,
           expires_at, confirmed_at, closed_at, hold_extended
    FROM booking.bookings
    WHERE event_id = w.event_id AND id = w.id
    OFFSET 0
) AS b

-- name: items
-- The lines of bookings, in the order asked for.
SELECT i.booking_id, i.ticket_type_id, i.ticket_type_name, i.quantity, i.unit_price
FROM unnest($1::uuid[], $2::uuid[]) AS w (event_id, booking_id)
CROSS JOIN LATERAL (
    SELECT booking_id, position, ticket_type_id, ticket_type_name, quantity, unit_price
    FROM booking.booking_items
    WHERE event_id = w.event_id AND booking_id = w.booking_id
    OFFSET 0
) AS i
ORDER BY i.booking_id, i.position

-- name: tickets
-- The tickets of bookings, in the order issued.
SELECT t.booking_id, t.id, t.ticket_type_id, t.code, t.status
FROM unnest($1::uuid[], $2::uuid[]) AS w (event_id, booking_id)
CROSS JOIN LATERAL (
    SELECT booking_id, id, ticket_type_id, code, status
    FROM booking.tickets
    WHERE event_id = w.event_id AND booking_id = w.booking_id
    OFFSET 0
) AS t
ORDER BY t.booking_id, t.id

-- name: events
-- Some events.
SELECT event_id, organizer_id, name, location, timezone, starts_at, ends_at, currency, status,
       version, max_per_buyer
FROM booking.events WHERE event_id = ANY ($1::uuid[])

-- name: booking
-- One booking, whatever its event.
SELECT event_id, id, user_id, buyer_email, buyer_name, status, currency, version, created_at,
       expires_at, confirmed_at, closed_at, hold_extended
FROM booking.bookings WHERE id = $1

-- name: bookings_of_user
-- A page of a user's bookings, newest first.
SELECT event_id, id, user_id, buyer_email, buyer_name, status, currency, version, created_at,
       expires_at, confirmed_at, closed_at, hold_extended
FROM booking.bookings
WHERE user_id = $1
  AND id < $2
  AND ($3::uuid IS NULL OR event_id = $3)
  AND ($4::text IS NULL OR status = $4)
ORDER BY id DESC
LIMIT $5

-- name: bookings_of_all
-- A page of everybody's bookings for an event, newest first.
SELECT event_id, id, user_id, buyer_email, buyer_name, status, currency, version, created_at,
       expires_at, confirmed_at, closed_at, hold_extended
FROM booking.bookings
WHERE event_id = $1
  AND id < $2
  AND ($3::text IS NULL OR status = $3)
ORDER BY id DESC
LIMIT $4

-- name: ticket
-- One ticket with what is printed on it.
SELECT t.id AS ticket_id, t.booking_id, t.user_id, t.ticket_type_id, t.code,
       t.status AS ticket_status, b.buyer_name, i.ticket_type_name, e.event_id, e.organizer_id, e.name, e.location,
       e.timezone, e.starts_at, e.ends_at, e.currency, e.status, e.version,
       e.max_per_buyer
FROM booking.tickets AS t
JOIN booking.bookings AS b ON b.event_id = t.event_id AND b.id = t.booking_id
JOIN booking.booking_items AS i
    ON i.event_id = t.event_id
   AND i.booking_id = t.booking_id
   AND i.ticket_type_id = t.ticket_type_id
JOIN booking.events AS e ON e.event_id = t.event_id
WHERE t.id = $1

-- name: tickets_of_user
-- A page of a user's tickets with what is printed on them, newest first.
SELECT t.id AS ticket_id, t.booking_id, t.user_id, t.ticket_type_id, t.code,
       t.status AS ticket_status, b.buyer_name, i.ticket_type_name, e.event_id, e.organizer_id, e.name, e.location,
       e.timezone, e.starts_at, e.ends_at, e.currency, e.status, e.version,
       e.max_per_buyer
FROM booking.tickets AS t
JOIN booking.bookings AS b ON b.event_id = t.event_id AND b.id = t.booking_id
JOIN booking.booking_items AS i
    ON i.event_id = t.event_id
   AND i.booking_id = t.booking_id
   AND i.ticket_type_id = t.ticket_type_id
JOIN booking.events AS e ON e.event_id = t.event_id
WHERE t.user_id = $1 AND t.id < $2
ORDER BY t.id DESC
LIMIT $3

-- name: events_with_due_holds
-- Events of the holds that have been over for longest.
SELECT DISTINCT due.event_id
FROM (
    SELECT event_id
    FROM booking.bookings
    WHERE status = 'held' AND expires_at <= $1
    ORDER BY expires_at
    LIMIT $2
) AS due

-- name: events_to_close
-- Cancelled events that may have open bookings.
SELECT event_id FROM booking.events WHERE closing ORDER BY event_id LIMIT $1

-- name: events_to_resync
-- Events whose shrink the catalog has had time to save.
SELECT event_id
FROM booking.events
WHERE resync_after <= $1
ORDER BY resync_after
LIMIT $2

-- name: forget_keys
-- Delete the oldest idempotency keys from before $1, at most $2. Rows that somebody else
-- deletes just now are left to them.
DELETE FROM booking.idempotency_keys
WHERE ctid = ANY (ARRAY(
    SELECT ctid
    FROM booking.idempotency_keys
    WHERE created_at < $1
    ORDER BY created_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))
