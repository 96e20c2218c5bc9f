-- Events, their ticket types, and the outbox that announces every change.
CREATE TABLE catalog.events (
    id uuid PRIMARY KEY,
    organizer_id uuid NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    description text NOT NULL CHECK (char_length(description) <= 10000),
    location text NOT NULL CHECK (char_length(location) <= 300),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    timezone text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'published', 'cancelled')),
    version bigint NOT NULL CHECK (version >= 1),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    published_at timestamptz,            -- NULL: was never on sale, so is private
    -- 'simple' neither stems nor drops stop words: names of artists are no English text.
    document tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', name), 'A')
        || setweight(to_tsvector('simple', location), 'B')
        || setweight(to_tsvector('simple', description), 'C')
    ) STORED,
    CONSTRAINT events_end_after_start CHECK (ends_at > starts_at),
    CONSTRAINT events_published_since CHECK (status <> 'published' OR published_at IS NOT NULL)
);

-- One index for each order of a list, read in either direction.
CREATE INDEX events_status_starts_at_idx ON catalog.events (status, starts_at, id);
CREATE INDEX events_status_created_at_idx ON catalog.events (status, created_at, id);
CREATE INDEX events_organizer_idx ON catalog.events (organizer_id, status, starts_at, id);
-- Words, and near misses of words.
CREATE INDEX events_document_idx ON catalog.events USING gin (document);
CREATE INDEX events_name_trigram_idx
    ON catalog.events USING gin (name extensions.gin_trgm_ops);
CREATE INDEX events_location_trigram_idx
    ON catalog.events USING gin (location extensions.gin_trgm_ops);

CREATE TABLE catalog.ticket_types (
    id uuid PRIMARY KEY,
    event_id uuid NOT NULL REFERENCES catalog.events ON DELETE CASCADE,
    position smallint NOT NULL CHECK (position >= 1),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    price bigint NOT NULL CHECK (price >= 0),              -- minor units of events.currency
    capacity int NOT NULL CHECK (capacity >= 1),
    max_per_booking int NOT NULL CHECK (max_per_booking >= 1),
    CONSTRAINT ticket_types_event_position_key UNIQUE (event_id, position)
);

CREATE TABLE catalog.outbox (
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
CREATE INDEX outbox_aggregate_idx ON catalog.outbox (aggregate_id, id);
