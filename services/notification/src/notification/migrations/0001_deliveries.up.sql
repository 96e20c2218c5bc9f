-- One row for each message that requests an e-mail. The row is also the record that the message
-- was handled: a redelivered message finds it. Recipient, names and codes are not stored.
CREATE TABLE notification.deliveries (
    message_id uuid PRIMARY KEY,
    booking_id uuid NOT NULL,
    booking_version bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('tickets', 'cancellation', 'expiry')),
    -- sending: a worker holds the lease and may be talking to the SMTP server;
    -- sent: the SMTP server has accepted the e-mail;
    -- superseded: not sent, because the booking has changed since;
    -- deferred: the last attempt failed and another one may follow;
    -- refused: the e-mail cannot be sent; the message is a dead letter and may be replayed.
    status text NOT NULL CHECK (status IN ('sending', 'sent', 'superseded', 'deferred', 'refused')),
    -- A lease that has expired belongs to a worker that crashed or hangs.
    lease_token uuid,
    lease_expires_at timestamptz,
    -- Why the last attempt failed, without e-mail addresses.
    reason text,
    attempts integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'sending') = (lease_token IS NOT NULL)),
    CHECK ((status = 'sending') = (lease_expires_at IS NOT NULL))
);

-- Serves `claim`: the other deliveries about one booking.
CREATE INDEX deliveries_booking_idx ON notification.deliveries (booking_id, booking_version);
-- Serves `purge`.
CREATE INDEX deliveries_created_at_idx ON notification.deliveries (created_at);
