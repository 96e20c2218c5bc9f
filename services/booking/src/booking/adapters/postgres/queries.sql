-- Every statement of booking. Lock order: bookings, event, inventory, idempotency keys.
-- Columns of tables are named, never `*`: a migration that adds one must not change the
-- result of a statement that running servers have prepared.
-- LATERAL … OFFSET 0 keeps the planner to the written order, whatever the statistics say
-- about the tables' sizes: from the arguments along an index to the rows.
-- `{name}` is replaced by the fragment of that name.

-- name: booking_columns
event_id, id, user_id, buyer_email, buyer_name, status, currency, version, created_at,
expires_at, confirmed_at, closed_at, hold_extended

-- name: event_columns
event_id, organizer_id, name, location, timezone, starts_at, ends_at, currency, status, version,
max_per_buyer

-- name: event_column_aliases
-- The names of event_columns beside those of a booking, in the same order.
e_event_id, e_organizer_id, e_name, e_location, e_timezone, e_starts_at, e_ends_at, e_currency,
e_status, e_version, e_max_per_buyer

-- name: inventory_of_events
-- Select and join the ticket types of events `e`.
LEFT JOIN LATERAL (
    SELECT ticket_type_id, position, name, price, capacity, held, sold, max_per_booking,
           inventory_version, active, max_per_buyer
    FROM booking.inventory
    WHERE event_id = e.event_id
    OFFSET 0
) AS i (
    ticket_type_id, position, ticket_type_name, price, capacity, held, sold, max_per_booking,
    inventory_version, active, type_max_per_buyer
) ON true

-- name: usable_code
-- The code of a ticket, none if it is void: a scanner accepts a code without a call.
CASE WHEN status = 'void' THEN '' ELSE code END

-- name: booking_details
-- Select bookings `b` with event, items and tickets. The two lists are JSON arrays in the
-- order of creation; a ticket's id is its order.
SELECT b.*, e.*,
       (
           SELECT json_agg(
               json_build_array(ticket_type_id, ticket_type_name, quantity, unit_price)
               ORDER BY position)
           FROM booking.booking_items
           WHERE event_id = b.event_id AND booking_id = b.id
       )::text AS items,
       (
           SELECT json_agg(
               json_build_array(id, ticket_type_id, {usable_code}, status) ORDER BY id)
           FROM booking.tickets
           WHERE event_id = b.event_id AND booking_id = b.id
       )::text AS tickets

-- name: event_of_booking
-- Join the event of bookings `b`.
CROSS JOIN LATERAL (
    SELECT {event_columns} FROM booking.events WHERE event_id = b.event_id OFFSET 0
) AS e ({event_column_aliases})

-- name: ticket_columns
event_id, id, booking_id, user_id, ticket_type_id, status, {usable_code} AS code

-- name: printed_ticket
-- Select tickets `t` with the data that is printed on them.
SELECT t.id AS ticket_id, t.booking_id, t.user_id, t.ticket_type_id, t.code,
       t.status AS ticket_status, b.buyer_name, i.ticket_type_name, e.*

-- name: data_of_ticket
-- Join the booking, the item and the event of tickets `t`.
CROSS JOIN LATERAL (
    SELECT buyer_name FROM booking.bookings WHERE event_id = t.event_id AND id = t.booking_id
    OFFSET 0
) AS b
CROSS JOIN LATERAL (
    SELECT ticket_type_name
    FROM booking.booking_items
    WHERE event_id = t.event_id
      AND booking_id = t.booking_id
      AND ticket_type_id = t.ticket_type_id
    OFFSET 0
) AS i
CROSS JOIN LATERAL (
    SELECT {event_columns} FROM booking.events WHERE event_id = t.event_id OFFSET 0
) AS e

-- name: insert_messages
-- Insert the outbox messages of `changed` bookings. Consumers see a booking's messages in
-- the order of its versions. Payload and headers are texts in the argument, not objects,
-- which costs less to parse.
INSERT INTO booking.outbox (
    partition_id, message_id, type, aggregate_id, aggregate_version, payload, headers, occurred_at
)
SELECT event_id, message_id, message_type, id, version, payload::json, headers::json, occurred_at
FROM changed

-- name: insert_tickets
-- Insert the tickets of the argument.
INSERT INTO booking.tickets (
    event_id, id, booking_id, user_id, ticket_type_id, code, status, check_in_version
)
SELECT t.event_id, t.id, t.booking_id, t.user_id, t.ticket_type_id, t.code, 'valid',
       t.check_in_version
FROM jsonb_to_recordset($1::jsonb -> 'tickets') AS t (
    event_id uuid, id uuid, booking_id uuid, user_id uuid, ticket_type_id uuid, code text,
    check_in_version bigint
)

-- name: adjust_inventory
-- Change the counts of locked ticket types by the sum of a whole batch.
UPDATE booking.inventory AS i
SET held = i.held + a.held,
    sold = i.sold + a.sold,
    inventory_version = i.inventory_version + 1
FROM adjustments AS a
WHERE i.event_id = ANY (ARRAY(SELECT event_id FROM adjustments))
  AND i.event_id = a.event_id AND i.ticket_type_id = a.ticket_type_id
RETURNING i.event_id, i.ticket_type_id, i.held, i.sold, i.inventory_version AS inventory_version

-- name: adjustments
-- The inventory's part of the one argument, $1: a JSON object with the arrays bookings,
-- items, tickets and inventory; see records.py. As jsonb it is parsed once for all parts.
adjustments AS MATERIALIZED (
    SELECT a.event_id, a.ticket_type_id, a.held, a.sold
    FROM jsonb_to_recordset($1::jsonb -> 'inventory')
        AS a (event_id uuid, ticket_type_id uuid, held bigint, sold bigint)
)

-- name: lock_inventory
-- Lock all ticket types of an event in id order. Limits per buyer count over all types, and
-- versions of the check-in list are assigned under these locks (see the table `tickets`).
SELECT ticket_type_id
FROM booking.inventory
WHERE event_id = $1
ORDER BY ticket_type_id
FOR UPDATE

-- name: lock_free_inventory
-- Lock the ticket types of several events, but skip rows that another transaction has
-- locked. A statement that never waits needs no order.
SELECT ticket_type_id
FROM booking.inventory
WHERE event_id = ANY ($1::uuid[])
FOR UPDATE SKIP LOCKED

-- name: inventories
-- Events with all their ticket types; a row per type, at least one per event.
SELECT e.*, i.*
FROM (
    SELECT {event_columns}, resync_after FROM booking.events WHERE event_id = ANY ($1::uuid[])
) AS e
{inventory_of_events}

-- name: snapshot
-- Events as `inventories` reads them; the first row also has the records of used keys.
SELECT e.*, i.*,
       CASE WHEN row_number() OVER () = 1 THEN (
           SELECT json_agg(json_build_array(
               k.user_id, k.key, k.event_id, encode(k.fingerprint, 'hex'), k.booking_id))
           FROM unnest($2::uuid[], $3::text[]) AS w (user_id, key)
           CROSS JOIN LATERAL (
               SELECT user_id, key, event_id, fingerprint, booking_id
               FROM booking.idempotency_keys
               WHERE user_id = w.user_id AND key = w.key
               OFFSET 0
           ) AS k
       )::text END AS records
FROM (
    SELECT {event_columns}, resync_after FROM booking.events WHERE event_id = ANY ($1::uuid[])
) AS e
{inventory_of_events}

-- name: event
-- One event.
SELECT {event_columns} FROM booking.events WHERE event_id = $1

-- name: lock_event
-- Lock an event against other transactions that change or shrink it.
SELECT 1 FROM booking.events WHERE event_id = $1 FOR UPDATE

-- name: save_event
-- Store an event unless it is no newer; the same version is stored for a due resync ($12).
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
-- Store when to compare an event with the catalog, if at all.
UPDATE booking.events SET resync_after = $2 WHERE event_id = $1

-- name: finish_closing
-- Mark a cancelled event as closed, if it has no open booking.
UPDATE booking.events AS e
SET closing = false
WHERE e.event_id = $1
  AND e.closing
  AND NOT EXISTS (
      SELECT FROM booking.bookings AS b
      WHERE b.event_id = $1 AND b.status IN ('held', 'confirmed')
  )

-- name: save_ticket_types
-- Store descriptions and capacities of ticket types ($2); never changes held and sold.
INSERT INTO booking.inventory AS i (
    event_id, ticket_type_id, position, name, price, capacity, max_per_booking, active,
    max_per_buyer
)
SELECT $1, t.id, t.position, t.name, t.price, t.capacity, t.max_per_booking, t.active,
       t.max_per_buyer
FROM json_to_recordset($2::json) AS t (
    id uuid, position int, name text, price bigint, capacity bigint, max_per_booking int,
    active bool, max_per_buyer int
)
ON CONFLICT (event_id, ticket_type_id) DO UPDATE
SET position = excluded.position,
    name = excluded.name,
    price = excluded.price,
    capacity = excluded.capacity,
    max_per_booking = excluded.max_per_booking,
    active = excluded.active,
    max_per_buyer = excluded.max_per_buyer,
    inventory_version = i.inventory_version + 1
RETURNING event_id, ticket_type_id, held, sold, inventory_version AS inventory_version

-- name: buyer_usage
-- Tickets of buyers by event and ticket type; a hold is counted with its first item.
-- From the buyer to the bookings, and from there to the items.
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

-- name: create_bookings
-- Insert a batch of bookings with all that belongs to them, and adjust the inventory.
-- Keys are inserted in order, so that no two transactions wait for each other. Foreign keys
-- are checked at the end, when all rows are there.
WITH {adjustments},
changed AS MATERIALIZED (
    SELECT b.event_id, b.id, b.user_id, b.buyer_email, b.buyer_name, b.status, b.currency,
           b.total, b.created_at, b.expires_at, b.confirmed_at, b.key, b.fingerprint,
           b.message_id, b.message_type, b.payload, b.headers, 1 AS version,
           b.created_at AS occurred_at
    FROM jsonb_to_recordset($1::jsonb -> 'bookings') AS b (
        event_id uuid, id uuid, user_id uuid, buyer_email text, buyer_name text, status text,
        currency text, total bigint, created_at timestamptz, expires_at timestamptz,
        confirmed_at timestamptz, key text, fingerprint bytea, message_id uuid,
        message_type text, payload text, headers text
    )
),
new_keys AS (
    INSERT INTO booking.idempotency_keys (
        created_at, user_id, key, fingerprint, event_id, booking_id
    )
    SELECT created_at, user_id, key, fingerprint, event_id, id
    FROM changed
    WHERE key IS NOT NULL
    ORDER BY user_id, key COLLATE "C"
),
new_bookings AS (
    INSERT INTO booking.bookings (
        event_id, id, user_id, buyer_email, buyer_name, status, currency, total, version,
        created_at, expires_at, confirmed_at
    )
    SELECT event_id, id, user_id, buyer_email, buyer_name, status, currency, total, version,
           created_at, expires_at, confirmed_at
    FROM changed
),
new_items AS (
    INSERT INTO booking.booking_items (
        event_id, booking_id, position, ticket_type_id, ticket_type_name, quantity, unit_price
    )
    SELECT i.event_id, i.booking_id, i.position, i.ticket_type_id, i.ticket_type_name,
           i.quantity, i.unit_price
    FROM jsonb_to_recordset($1::jsonb -> 'items') AS i (
        event_id uuid, booking_id uuid, position int, ticket_type_id uuid, ticket_type_name text,
        quantity int, unit_price bigint
    )
),
new_tickets AS (
    {insert_tickets}
),
new_messages AS (
    {insert_messages}
)
{adjust_inventory}

-- name: change_bookings
-- Store the new state of locked bookings of one event ($2), new tickets, the messages, and
-- the inventory's changes. Tickets of closed bookings become void, in the version $3 of the
-- event's check-in list.
WITH {adjustments},
changed AS MATERIALIZED (
    SELECT b.event_id, b.id, b.status, b.version, b.expires_at, b.confirmed_at,
           b.closed_at, b.hold_extended, b.message_id, b.message_type, b.payload, b.headers,
           b.occurred_at
    FROM jsonb_to_recordset($1::jsonb -> 'bookings') AS b (
        event_id uuid, id uuid, status text, version bigint,
        expires_at timestamptz, confirmed_at timestamptz, closed_at timestamptz,
        hold_extended bool, message_id uuid, message_type text, payload text, headers text,
        occurred_at timestamptz
    )
),
changed_bookings AS (
    UPDATE booking.bookings AS b
    SET status = c.status,
        version = c.version,
        expires_at = c.expires_at,
        confirmed_at = c.confirmed_at,
        closed_at = c.closed_at,
        hold_extended = c.hold_extended
    FROM changed AS c
    WHERE b.event_id = $2 AND b.id = ANY (ARRAY(SELECT id FROM changed)) AND b.id = c.id
),
void_tickets AS (
    UPDATE booking.tickets
    SET status = 'void', check_in_version = $3
    WHERE event_id = $2
      AND booking_id = ANY (ARRAY(SELECT id FROM changed WHERE closed_at IS NOT NULL))
),
new_tickets AS (
    {insert_tickets}
),
new_messages AS (
    {insert_messages}
)
{adjust_inventory}

-- name: lock_booking
-- Lock one booking.
SELECT {booking_columns}
FROM booking.bookings
WHERE event_id = $1 AND id = $2
FOR UPDATE

-- name: claim_due_holds
-- Lock those of an event's bookings ($2) that are holds past their end ($3) and that no other
-- transaction has locked.
SELECT {booking_columns}
FROM booking.bookings
WHERE event_id = $1 AND id = ANY ($2::uuid[]) AND status = 'held' AND expires_at <= $3
ORDER BY id
FOR UPDATE SKIP LOCKED

-- name: claim_open_bookings
-- Lock those of an event's bookings ($2) that are open and that no other transaction has locked.
SELECT {booking_columns}
FROM booking.bookings
WHERE event_id = $1 AND id = ANY ($2::uuid[]) AND status IN ('held', 'confirmed')
ORDER BY id
FOR UPDATE SKIP LOCKED

-- name: items
-- The items of locked bookings, in the order of the command.
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
-- The tickets of locked bookings, in the order of their ids.
SELECT t.booking_id, t.id, t.ticket_type_id, t.code, t.status
FROM unnest($1::uuid[], $2::uuid[]) AS w (event_id, booking_id)
CROSS JOIN LATERAL (
    SELECT booking_id, id, ticket_type_id, status, {usable_code} AS code
    FROM booking.tickets
    WHERE event_id = w.event_id AND booking_id = w.booking_id
    OFFSET 0
) AS t
ORDER BY t.booking_id, t.id

-- name: bookings
-- Some bookings, by their ids alone.
{booking_details}
FROM unnest($1::uuid[]) AS w (id)
CROSS JOIN LATERAL (
    SELECT {booking_columns} FROM booking.bookings WHERE id = w.id OFFSET 0
) AS b
{event_of_booking}

-- name: bookings_by_key
-- Some bookings, by event and id.
{booking_details}
FROM unnest($1::uuid[], $2::uuid[]) AS w (event_id, id)
CROSS JOIN LATERAL (
    SELECT {booking_columns}
    FROM booking.bookings
    WHERE event_id = w.event_id AND id = w.id
    OFFSET 0
) AS b
{event_of_booking}

-- name: confirmed_bookings_of_event
-- The version of an event, and the next confirmed bookings in the order of their ids. One row
-- without a booking if there is none.
SELECT e.version, b.id, b.user_id
FROM booking.events AS e
LEFT JOIN LATERAL (
    SELECT id, user_id
    FROM booking.bookings
    WHERE event_id = e.event_id AND id > $2 AND status = 'confirmed'
    ORDER BY id
    LIMIT $3
) AS b ON true
WHERE e.event_id = $1
ORDER BY b.id

-- name: confirmed_bookings_of_buyers
-- All confirmed bookings of some buyers for some events.
{booking_details}
FROM unnest($1::uuid[], $2::uuid[]) AS w (event_id, user_id)
CROSS JOIN LATERAL (
    SELECT {booking_columns}
    FROM booking.bookings
    WHERE user_id = w.user_id AND event_id = w.event_id AND status = 'confirmed'
    ORDER BY id
) AS b
{event_of_booking}
ORDER BY b.id

-- name: bookings_of_user
-- A page of a user's bookings, newest first.
{booking_details}
FROM (
    SELECT {booking_columns}
    FROM booking.bookings
    WHERE user_id = $1
      AND id < $2
      AND ($3::uuid IS NULL OR event_id = $3)
      AND ($4::text IS NULL OR status = $4)
    ORDER BY id DESC
    LIMIT $5
) AS b
{event_of_booking}
ORDER BY b.id DESC

-- name: bookings_of_event
-- A page of all bookings for an event, newest first.
{booking_details}
FROM (
    SELECT {booking_columns}
    FROM booking.bookings
    WHERE event_id = $1
      AND id < $2
      AND ($3::text IS NULL OR status = $3)
    ORDER BY id DESC
    LIMIT $4
) AS b
{event_of_booking}
ORDER BY b.id DESC

-- name: printed_tickets
-- Some tickets with the data that is printed on them, by their ids alone.
{printed_ticket}
FROM unnest($1::uuid[]) AS w (id)
CROSS JOIN LATERAL (
    SELECT {ticket_columns} FROM booking.tickets WHERE id = w.id OFFSET 0
) AS t
{data_of_ticket}

-- name: tickets_of_users
-- Pages of users' tickets with the data that is printed on them, newest first. `page` counts
-- the pages from 1 in the order of the arguments.
{printed_ticket}, w.page
FROM unnest($1::uuid[], $2::uuid[], $3::int[])
    WITH ORDINALITY AS w (user_id, before, page_size, page)
CROSS JOIN LATERAL (
    SELECT {ticket_columns}
    FROM booking.tickets
    WHERE user_id = w.user_id AND id < w.before
    ORDER BY id DESC
    LIMIT w.page_size
) AS t
{data_of_ticket}
ORDER BY w.page, t.id DESC

-- name: check_in_version
-- The version of an event's check-in list; see the table `tickets`.
SELECT coalesce(sum(inventory_version), 0)::bigint
FROM booking.inventory
WHERE event_id = $1

-- name: check_in_tickets
-- A page of an event's tickets in one status that have changed after version $3 and ticket
-- $4, up to version $5, in the order of their changes.
SELECT t.id, t.ticket_type_id, t.status, t.check_in_version, b.buyer_name
FROM (
    SELECT id, booking_id, ticket_type_id, status, check_in_version
    FROM booking.tickets
    WHERE event_id = $1
      AND status = $2
      AND (check_in_version, id) > ($3, $4)
      AND check_in_version <= $5
    ORDER BY check_in_version, id
    LIMIT $6
) AS t
CROSS JOIN LATERAL (
    SELECT buyer_name FROM booking.bookings WHERE event_id = $1 AND id = t.booking_id OFFSET 0
) AS b
ORDER BY t.check_in_version, t.id

-- name: due_holds
-- The next $4 holds after position ($2, $3) whose end is past.
SELECT event_id, id, expires_at
FROM booking.bookings
WHERE status = 'held' AND expires_at <= $1
  AND (expires_at, id) > ($2::timestamptz, $3::uuid)
ORDER BY expires_at, id
LIMIT $4

-- name: events_to_close
-- The next $2 cancelled events after $1 that may have open bookings.
SELECT event_id FROM booking.events
WHERE closing AND event_id > $1
ORDER BY event_id
LIMIT $2

-- name: open_bookings
-- The next $3 open bookings of an event after $2.
SELECT id FROM booking.bookings
WHERE event_id = $1 AND id > $2 AND status IN ('held', 'confirmed')
ORDER BY id
LIMIT $3

-- name: events_to_resync
-- The next $3 events after $2 whose shrink the catalog has had time to save.
SELECT event_id
FROM booking.events
WHERE resync_after <= $1 AND event_id > $2
ORDER BY event_id
LIMIT $3

-- name: purge_idempotency_keys
-- Delete the oldest idempotency keys from before $1, at most $2. Rows that another
-- sweeper is deleting are skipped.
DELETE FROM booking.idempotency_keys
WHERE ctid = ANY (ARRAY(
    SELECT ctid
    FROM booking.idempotency_keys
    WHERE created_at < $1
    ORDER BY created_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))
