-- Events and their ticket types. The extensions come from deploy/postgres/extensions.sql.

-- Removes accents, so that "Beyonce" finds "Beyoncé" and the other way round. Stored texts and
-- search texts are both folded. unaccent is only STABLE because its rules are a file: after an
-- upgrade of PostgreSQL with new rules the generated columns below must be rewritten.
-- normalize() composes letters first, since the rules know composed letters only.
CREATE FUNCTION catalog.folded(text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN extensions.unaccent('extensions.unaccent'::regdictionary, normalize($1));

-- Folds each word by itself: folding a whole query would turn a dash into a minus, which excludes
-- a word. 'simple' neither stems nor drops stop words, since names of artists are not English.
CREATE TEXT SEARCH CONFIGURATION catalog.folded (COPY = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION catalog.folded
    ALTER MAPPING FOR word, hword, hword_part WITH extensions.unaccent, pg_catalog.simple;

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
    -- Start and end on the clocks of `timezone`, by the rules of release `time_zone_data` ("2026f"),
    -- as they were when one of the times or the zone was last set.
    local_starts_at timestamp NOT NULL,
    local_ends_at timestamp NOT NULL,
    time_zone_data text NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'published', 'cancelled')),
    -- Most tickets of one buyer over all bookings; 0 means no limit.
    max_per_buyer int NOT NULL DEFAULT 0 CHECK (max_per_buyer BETWEEN 0 AND 100000),
    version bigint NOT NULL CHECK (version >= 1),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    published_at timestamptz,            -- NULL: never published, so visible to its owner only
    document tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('catalog.folded', normalize(name)), 'A')
        || setweight(to_tsvector('catalog.folded', normalize(location)), 'B')
        || setweight(to_tsvector('catalog.folded', normalize(description)), 'C')
    ) STORED,
    folded_name text NOT NULL GENERATED ALWAYS AS (catalog.folded(name)) STORED,
    folded_location text NOT NULL GENERATED ALWAYS AS (catalog.folded(location)) STORED,
    CONSTRAINT events_end_after_start CHECK (ends_at > starts_at),
    CONSTRAINT events_published_since CHECK (status <> 'published' OR published_at IS NOT NULL)
);

-- One index for each order of a list, read in either direction.
CREATE INDEX events_status_starts_at_idx ON catalog.events (status, starts_at, id);
CREATE INDEX events_status_created_at_idx ON catalog.events (status, created_at, id);
CREATE INDEX events_organizer_idx ON catalog.events (organizer_id, status, starts_at, id);
-- Whole words, and similar words.
CREATE INDEX events_document_idx ON catalog.events USING gin (document);
CREATE INDEX events_name_trigram_idx
    ON catalog.events USING gin (folded_name extensions.gin_trgm_ops);
CREATE INDEX events_location_trigram_idx
    ON catalog.events USING gin (folded_location extensions.gin_trgm_ops);

CREATE TABLE catalog.ticket_types (
    id uuid PRIMARY KEY,
    event_id uuid NOT NULL REFERENCES catalog.events ON DELETE CASCADE,
    position smallint NOT NULL CHECK (position >= 1),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    price bigint NOT NULL CHECK (price >= 0),              -- minor units of events.currency
    capacity int NOT NULL CHECK (capacity >= 1),
    max_per_booking int NOT NULL CHECK (max_per_booking >= 1),
    max_per_buyer int NOT NULL DEFAULT 0 CHECK (max_per_buyer BETWEEN 0 AND 100000), -- 0: no limit
    CONSTRAINT ticket_types_event_position_key UNIQUE (event_id, position)
);
