-- Every table of bookings carries event_id, and its primary key begins with it, so that the
-- schema can later be distributed by event. Ids are UUIDv7: new rows go to the right edge of an
-- index.

-- The booking service's copy of the catalog's events.
CREATE TABLE booking.events (
    event_id uuid PRIMARY KEY,
    organizer_id uuid NOT NULL,
    name text NOT NULL,
    location text NOT NULL,
    timezone text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    currency text NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'published', 'cancelled')),
    version bigint NOT NULL,
    -- Most tickets of one buyer over all bookings; 0 means no limit. The bookings themselves are
    -- counted, through bookings_user_idx: there is no counter to keep consistent.
    max_per_buyer int NOT NULL DEFAULT 0,
    -- Set when a capacity shrinks: when to read the event again, in case the catalog did not
    -- save the change.
    resync_after timestamptz,
    -- The event is cancelled, and some of its bookings may still be open.
    closing boolean NOT NULL DEFAULT false
);
CREATE INDEX events_resync_idx ON booking.events (event_id) WHERE resync_after IS NOT NULL;
CREATE INDEX events_closing_idx ON booking.events (event_id) WHERE closing;

-- The fill factor leaves half of each page free, so that updates of hot rows stay on their page
-- (HOT).
CREATE TABLE booking.inventory (
    event_id uuid NOT NULL REFERENCES booking.events,
    ticket_type_id uuid NOT NULL,
    position int NOT NULL,
    name text NOT NULL,
    price bigint NOT NULL CHECK (price >= 0), -- minor units of events.currency
    capacity bigint NOT NULL,
    held bigint NOT NULL DEFAULT 0 CONSTRAINT inventory_held_not_negative CHECK (held >= 0),
    sold bigint NOT NULL DEFAULT 0 CONSTRAINT inventory_sold_not_negative CHECK (sold >= 0),
    max_per_booking int NOT NULL CHECK (max_per_booking >= 1),
    max_per_buyer int NOT NULL DEFAULT 0,     -- 0 means no limit
    -- Grows by one with every change. Copies of the availability ignore older versions.
    inventory_version bigint NOT NULL DEFAULT 1,
    active boolean NOT NULL DEFAULT true,
    PRIMARY KEY (event_id, ticket_type_id),
    CONSTRAINT inventory_never_oversold CHECK (sold + held <= capacity)
) WITH (fillfactor = 50);

CREATE TABLE booking.bookings (
    event_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    buyer_email text NOT NULL,
    buyer_name text NOT NULL,
    status text NOT NULL
        CHECK (status IN ('held', 'confirmed', 'cancelled', 'expired', 'refunded')),
    total bigint NOT NULL, -- minor units of currency
    currency text NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    confirmed_at timestamptz,
    closed_at timestamptz,
    hold_extended boolean NOT NULL DEFAULT false, -- a hold can be extended once
    PRIMARY KEY (event_id, id),
    CONSTRAINT bookings_hold_ends CHECK ((status = 'held') = (expires_at IS NOT NULL))
);
CREATE INDEX bookings_id_idx ON booking.bookings (id);
CREATE INDEX bookings_user_idx ON booking.bookings (user_id, id);
-- Finds due holds, in pages.
CREATE INDEX bookings_due_idx ON booking.bookings (expires_at, id) WHERE status = 'held';

CREATE TABLE booking.booking_items (
    event_id uuid NOT NULL,
    booking_id uuid NOT NULL,
    position int NOT NULL,
    ticket_type_id uuid NOT NULL,
    ticket_type_name text NOT NULL,
    quantity int NOT NULL CHECK (quantity >= 1),
    unit_price bigint NOT NULL, -- minor units of bookings.currency
    PRIMARY KEY (event_id, booking_id, position),
    FOREIGN KEY (event_id, booking_id) REFERENCES booking.bookings
);

CREATE TABLE booking.tickets (
    event_id uuid NOT NULL,
    id uuid NOT NULL,
    booking_id uuid NOT NULL,
    user_id uuid NOT NULL,
    ticket_type_id uuid NOT NULL,
    code text NOT NULL,
    status text NOT NULL CHECK (status IN ('valid', 'void', 'checked_in')),
    -- Version of the event's check-in list in which the ticket got this status. The list's
    -- version is the sum of inventory_version over the event's ticket types. A transaction that
    -- issues or voids tickets holds the locks of all these rows until it has committed, and
    -- increases one of them. So of two such transactions of an event, the one that commits later
    -- has the higher version, and a reader that sees version n sees all changes up to n. Versions
    -- from a sequence would be visible in another order than they were assigned: a device could
    -- read version 8 while version 7 is not committed, and would then never ask for it.
    check_in_version bigint NOT NULL,
    PRIMARY KEY (event_id, id),
    FOREIGN KEY (event_id, booking_id) REFERENCES booking.bookings
);
CREATE INDEX tickets_id_idx ON booking.tickets (id);
CREATE INDEX tickets_booking_idx ON booking.tickets (event_id, booking_id);
CREATE INDEX tickets_user_idx ON booking.tickets (user_id, id);
-- Changes of the check-in list in their order, one status after the other.
CREATE INDEX tickets_check_in_idx ON booking.tickets (event_id, status, check_in_version, id);

-- The booking that each key led to, written in the booking's transaction.
CREATE TABLE booking.idempotency_keys (
    user_id uuid NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    booking_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, key)
);
-- Finds the oldest keys to purge.
CREATE INDEX idempotency_keys_created_at_idx ON booking.idempotency_keys (created_at);
