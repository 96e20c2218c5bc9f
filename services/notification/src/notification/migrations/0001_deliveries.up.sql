-- One row for each message that requests an e-mail: the queue of the senders, the record that the
-- message was handled, and the history. Recipient, names and codes are not stored.
CREATE TABLE notification.deliveries (
    message_id uuid PRIMARY KEY,
    event_id uuid NOT NULL,
    -- The booking and its version. An e-mail about a change of the event is about all bookings of
    -- one buyer for it: here it has a UUIDv5 of event and buyer, and version 0.
    booking_id uuid NOT NULL,
    booking_version bigint NOT NULL,
    -- The buyer's user id. It serves fairness between buyers; it is a pseudonym.
    buyer_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('tickets', 'cancellation', 'expiry', 'event_change')),
    -- Why the booking was cancelled.
    cause text CHECK (cause IN ('by_buyer', 'by_organizer', 'event_cancelled')),
    -- Estimated cost of the e-mail: tickets to render.
    ticket_count integer NOT NULL CHECK (ticket_count >= 0),
    -- The senders that serve the row. Each group has its own concurrency.
    sender_group text NOT NULL CHECK (sender_group IN ('regular', 'large', 'event_changes')),
    -- W3C trace context of the message.
    traceparent text,
    -- pending: a sender may claim it now;
    -- deferred: it becomes pending at due_at;
    -- claimed: a worker prepares it; nothing was given to the SMTP server;
    -- sending: a worker may have given it to the SMTP server;
    -- sent: the SMTP server has accepted the e-mail;
    -- superseded: not sent, because the booking has changed since;
    -- refused: it cannot be sent; `notification refused-deliveries replay` makes it pending again.
    status text NOT NULL CHECK (status IN
        ('pending', 'deferred', 'claimed', 'sending', 'sent', 'superseded', 'refused')),
    -- Position among the pending deliveries of one event: start time of fair queueing.
    fair_at timestamptz NOT NULL,
    -- The end of a back-off (deferred) or of a lease (claimed, sending): then it is pending again.
    due_at timestamptz,
    lease_token uuid,
    -- How often it was claimed, and how often the booking service did not know the booking.
    attempts integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    -- Why the last attempt failed, without e-mail addresses.
    reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- The event as the buyer knows it: the facts that e-mails show.
    event_before jsonb,
    CHECK ((kind = 'event_change') = (event_before IS NOT NULL)),
    CHECK ((status IN ('claimed', 'sending')) = (lease_token IS NOT NULL)),
    CHECK ((status IN ('deferred', 'claimed', 'sending')) = (due_at IS NOT NULL))
);

-- Finds the other deliveries about one booking.
CREATE INDEX deliveries_booking_idx ON notification.deliveries (booking_id, booking_version);
-- Serves `claim`: the next event, and the next deliveries of an event.
CREATE INDEX deliveries_pending_idx
    ON notification.deliveries (sender_group, event_id, fair_at) WHERE status = 'pending';
-- Serves `enqueue`: the last pending delivery of a buyer.
CREATE INDEX deliveries_buyer_idx
    ON notification.deliveries (buyer_id, fair_at) WHERE status = 'pending';
-- Serves `release_due`.
CREATE INDEX deliveries_due_idx
    ON notification.deliveries (due_at) WHERE status IN ('deferred', 'claimed', 'sending');
-- Serves `measure_backlog`.
CREATE INDEX deliveries_unfinished_idx
    ON notification.deliveries (created_at)
    WHERE status IN ('pending', 'deferred', 'claimed', 'sending');
-- Serves `list_refused` and `replay_refused`.
CREATE INDEX deliveries_refused_idx
    ON notification.deliveries (created_at) WHERE status = 'refused';
-- Serves `purge`.
CREATE INDEX deliveries_finished_idx
    ON notification.deliveries (created_at) WHERE status IN ('sent', 'superseded', 'refused');

-- Every published event, to find what has changed since its buyers heard of it. No personal data.
CREATE TABLE notification.events (
    event_id uuid PRIMARY KEY,
    -- The newest version that was received, and its facts: name, place, zone, start and end.
    version bigint NOT NULL,
    facts jsonb NOT NULL,
    ends_at timestamptz NOT NULL,
    -- The version that buyers know: the first one, or the last one that was announced.
    announced_version bigint NOT NULL,
    announced_facts jsonb NOT NULL,
    is_announced boolean NOT NULL DEFAULT false,
    -- When the facts became different, and when the difference will be announced.
    changed_at timestamptz,
    due_at timestamptz,
    CHECK ((changed_at IS NULL) = (due_at IS NULL))
);
-- Serves `start_announcements`.
CREATE INDEX events_due_idx ON notification.events (due_at) WHERE due_at IS NOT NULL;
-- Serves `purge_events`.
CREATE INDEX events_ends_at_idx ON notification.events (ends_at);

-- Announcements of changes: position in the event's bookings, in the order of their ids.
CREATE TABLE notification.announcements (
    announcement_id uuid PRIMARY KEY,
    event_id uuid NOT NULL,
    version bigint NOT NULL,
    event_before jsonb NOT NULL,
    after_booking_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
-- Serves `unfinished_announcements` and `finish_announcements`.
CREATE INDEX announcements_unfinished_idx
    ON notification.announcements (created_at, announcement_id) WHERE finished_at IS NULL;
-- Serves `purge_announcements`.
CREATE INDEX announcements_finished_idx ON notification.announcements (finished_at);
