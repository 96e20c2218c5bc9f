-- Every table carries event_id and leads its primary key with it, so that the schema
-- can later be distributed by event. Ids are UUIDv7: new rows land at the right edge.

-- What the catalog last told of an event.
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
    -- Set by a shrink: when to ask the catalog whether it was saved there.
    resync_after timestamptz,
    -- Cancelled, and some of its bookings may still be open.
    closing boolean NOT NULL DEFAULT false
);
CREATE INDEX events_resync_idx ON booking.events (resync_after) WHERE resync_after IS NOT NULL;
CREATE INDEX events_closing_idx ON booking.events (event_id) WHERE closing;

-- The stock. Half-empty pages keep the updates of hot rows on their page (HOT).
CREATE TABLE booking.inventory (
    event_id uuid NOT NULL REFERENCES booking.events,
    ticket_type_id uuid NOT NULL,
    position int NOT NULL,
    name text NOT NULL,
    price bigint NOT NULL CHECK (price >= 0),
    capacity bigint NOT NULL,
    held bigint NOT NULL DEFAULT 0 CONSTRAINT inventory_held_not_negative CHECK (held >= 0),
    sold bigint NOT NULL DEFAULT 0 CONSTRAINT inventory_sold_not_negative CHECK (sold >= 0),
    max_per_booking int NOT NULL CHECK (max_per_booking >= 1),
    -- Grows with every change; availability elsewhere never goes back to an older one.
    stock_version bigint NOT NULL DEFAULT 1,
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
    total bigint NOT NULL,
    currency text NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    confirmed_at timestamptz,
    closed_at timestamptz,
    PRIMARY KEY (event_id, id),
    CONSTRAINT bookings_hold_ends CHECK ((status = 'held') = (expires_at IS NOT NULL))
);
CREATE INDEX bookings_id_idx ON booking.bookings (id);
CREATE INDEX bookings_user_idx ON booking.bookings (user_id, id);
-- Holds by when they end: over all events to find work, within one event to do it.
CREATE INDEX bookings_due_idx ON booking.bookings (expires_at) WHERE status = 'held';
CREATE INDEX bookings_event_due_idx ON booking.bookings (event_id, expires_at)
    WHERE status = 'held';

CREATE TABLE booking.booking_items (
    event_id uuid NOT NULL,
    booking_id uuid NOT NULL,
    position int NOT NULL,
    ticket_type_id uuid NOT NULL,
    ticket_type_name text NOT NULL,
    quantity int NOT NULL CHECK (quantity >= 1),
    unit_price bigint NOT NULL,
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
    PRIMARY KEY (event_id, id),
    FOREIGN KEY (event_id, booking_id) REFERENCES booking.bookings
);
CREATE INDEX tickets_id_idx ON booking.tickets (id);
CREATE INDEX tickets_booking_idx ON booking.tickets (event_id, booking_id);
CREATE INDEX tickets_user_idx ON booking.tickets (user_id, id);

-- The first answer to each key, written with the booking it made.
CREATE TABLE booking.idempotency_keys (
    user_id uuid NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    booking_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, key)
);

CREATE TABLE booking.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id uuid NOT NULL,            -- CloudEvents id
    type text NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_version bigint NOT NULL,
    partition_id uuid NOT NULL,
    payload jsonb NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}', -- traceparent and friends
    occurred_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    available_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_aggregate_idx ON booking.outbox (aggregate_id, id);

CREATE TABLE booking.inbox (
    consumer text NOT NULL,
    message_id uuid NOT NULL,            -- CloudEvents id
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);
