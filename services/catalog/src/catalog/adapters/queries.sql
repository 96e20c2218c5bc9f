-- SQL statements of the catalog. Each is loaded by its name.

-- name: get_events
-- Read events with their ticket types by id (primary keys); unknown ids are left out.
SELECT e.id, e.organizer_id, e.name, e.description, e.location, e.currency, e.timezone,
       e.starts_at, e.ends_at, e.status, e.version, e.created_at, e.updated_at,
       e.published_at, e.max_per_buyer,
       (SELECT json_agg(json_build_array(t.id, t.name, t.price, t.capacity, t.max_per_booking,
                                         t.max_per_buyer)
                        ORDER BY t.position)
        FROM catalog.ticket_types t WHERE t.event_id = e.id) AS ticket_types
FROM catalog.events e
WHERE e.id = ANY ($1::uuid[])

-- name: select_events
-- Read the rows of a list. event_page_statement.py replaces the braces, here and in list_events.
SELECT e.id, e.organizer_id, e.name, e.description, e.location, e.currency, e.timezone,
       e.starts_at, e.ends_at, e.status, e.version, e.created_at, e.updated_at,
       e.published_at, e.max_per_buyer,
       {score} AS score
FROM catalog.events e
WHERE {filter}

-- name: list_events
-- Read one page of a list, made from one or more select_events.
WITH found AS {materialized} (
    {rows}
), page AS (
    SELECT * FROM found WHERE {after} ORDER BY {order} LIMIT {limit}
)
SELECT page.*,
       (SELECT json_agg(json_build_array(t.id, t.name, t.price, t.capacity, t.max_per_booking,
                                         t.max_per_buyer)
                        ORDER BY t.position)
        FROM catalog.ticket_types t WHERE t.event_id = page.id) AS ticket_types
FROM page
ORDER BY {order}

-- name: insert_event
-- Insert an event without its ticket types.
INSERT INTO catalog.events
    (id, organizer_id, name, description, location, currency, timezone,
     starts_at, ends_at, status, version, updated_at, published_at, max_per_buyer,
     local_starts_at, local_ends_at, time_zone_data, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)

-- name: update_event
-- Store the next version of an event; returns no row when another change came first. The local
-- times stay as they were recorded unless the change sets a time or the zone.
UPDATE catalog.events
SET name = $2, description = $3, location = $4, currency = $5, timezone = $6,
    starts_at = $7, ends_at = $8, status = $9, version = $10, updated_at = $11, published_at = $12,
    max_per_buyer = $13,
    (local_starts_at, local_ends_at, time_zone_data) = (
        SELECT local_starts_at, local_ends_at, time_zone_data
        WHERE (timezone, starts_at, ends_at) = ($6, $7, $8)
        UNION ALL
        SELECT $14::timestamp, $15::timestamp, $16::text
        WHERE (timezone, starts_at, ends_at) <> ($6, $7, $8)
    )
WHERE id = $1 AND version = $10 - 1
RETURNING id

-- name: unfinished_schedules
-- Read the times of all events that are not over at $1, for an operator after an update of the
-- time zone data. Reads most of the table, so no index would help.
SELECT id, organizer_id, name, timezone, starts_at, ends_at,
       local_starts_at, local_ends_at, time_zone_data
FROM catalog.events
WHERE ends_at > $1 AND status IN ('draft', 'published')
ORDER BY starts_at, id

-- name: delete_ticket_types
-- Delete all ticket types of an event, before its new list is inserted.
DELETE FROM catalog.ticket_types WHERE event_id = $1

-- name: insert_ticket_types
-- Insert the ticket types of an event, in order.
INSERT INTO catalog.ticket_types
    (id, event_id, position, name, price, capacity, max_per_booking, max_per_buyer)
SELECT t.id, $1, t.position, t.name, t.price, t.capacity, t.max_per_booking, t.max_per_buyer
FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::int[], $6::int[], $7::int[])
     WITH ORDINALITY AS t
         (id, name, price, capacity, max_per_booking, max_per_buyer, position)
