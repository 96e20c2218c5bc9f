-- What became of each letter.
CREATE TABLE notification.deliveries (
    message_id uuid PRIMARY KEY,
    booking_id uuid NOT NULL,
    booking_version bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('tickets', 'cancellation', 'expiry')),
    recipient text NOT NULL,
    smtp_message_id text NOT NULL,
    -- superseded: not sent because a later change of the booking had been told already;
    -- deferred: the last try failed and another one follows; refused: never accepted.
    status text NOT NULL CHECK (status IN ('sent', 'superseded', 'deferred', 'refused')),
    reason text,
    attempts integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Which version of a booking was told last.
CREATE INDEX deliveries_booking_idx ON notification.deliveries (booking_id, booking_version);
