-- Events and their ticket types. The extensions come from deploy/postgres/extensions.sql.

-- Folds case, accents and the widths of letters, so that "lodz" finds "Łódź" and the other way
-- round. Stored texts and search texts are both folded. unaccent is only STABLE because its rules
-- are a file: after an upgrade of PostgreSQL with new rules the generated columns below must be
-- rewritten. normalize() composes letters first, since the rules know composed letters only.
-- A final sigma is a sigma.
CREATE FUNCTION catalog.folded(text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN translate(
    lower(extensions.unaccent('extensions.unaccent'::regdictionary, normalize($1, NFKC))), 'ς', 'σ'
);

-- The characters of a folded text, and its pairs of neighbours. An index of them finds texts by any
-- part: one of one character too, and one without letters. Trigrams do neither. COST is about what
-- it takes, in units of an operator: the planner then reads the index instead of every event,
-- unless the part is in so many that a page is complete after a few.
CREATE FUNCTION catalog.grams(folded text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
RETURN (
    SELECT coalesce(array_agg(DISTINCT substr(folded, position, length)), '{}')
    FROM generate_series(1, char_length(folded)) AS position, generate_series(1, 2) AS length
);

-- Those of a text's grams that tell it from most others: its pairs, or its only character.
CREATE FUNCTION catalog.search_grams(folded text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT array_agg(DISTINCT substr(folded, position, 2))
    FROM generate_series(1, greatest(char_length(folded) - 1, 1)) AS position
);

-- The letters of scripts that write without spaces, or with endings on each word, as the inside of
-- a regular expression's bracket: Thai, Lao, Tibetan, Burmese, Khmer, Japanese, Chinese, Korean.
CREATE FUNCTION catalog.unspaced_letters() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3'
    || '\U00020000-\U0003ffff';

-- Makes a word of each of these letters. A search for some of them is a search for a phrase.
CREATE FUNCTION catalog.spaced(text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN regexp_replace(normalize($1), '([' || catalog.unspaced_letters() || '])', ' \1 ', 'g');

-- Folds each word by itself: folding a whole query would turn a dash into a minus, which excludes
-- a word. 'simple' neither stems nor drops stop words, since names of artists are not English.
CREATE TEXT SEARCH CONFIGURATION catalog.folded (COPY = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION catalog.folded
    ALTER MAPPING FOR word, hword, hword_part, numword, numhword
    WITH extensions.unaccent, pg_catalog.simple;

-- The words of a search text, with its signs for phrases and exclusions. Letters of an unspaced
-- script that stand together are a phrase, unless the text has phrases of its own.
CREATE FUNCTION catalog.search_query(text) RETURNS tsquery
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN websearch_to_tsquery(
    'catalog.folded',
    catalog.spaced(
        CASE WHEN strpos($1, '"') > 0 THEN $1
        ELSE regexp_replace(
            normalize($1), '([' || catalog.unspaced_letters() || ']+)', '"\1"', 'g'
        ) END
    )
);

CREATE TABLE catalog.events (
    id uuid PRIMARY KEY,
    organizer_id uuid NOT NULL,
    name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 800),
    description text NOT NULL CHECK (octet_length(description) <= 40000),
    location text NOT NULL CHECK (octet_length(location) <= 1200),
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
        setweight(to_tsvector('catalog.folded', catalog.spaced(name)), 'A')
        || setweight(to_tsvector('catalog.folded', catalog.spaced(location)), 'B')
        || setweight(to_tsvector('catalog.folded', catalog.spaced(description)), 'C')
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
-- Events that have started and not ended: few, wherever they are among the start times.
CREATE INDEX events_running_idx ON catalog.events
    USING gist (tstzrange(starts_at, ends_at)) WHERE status = 'published';
-- Any part of a name or a location.
CREATE INDEX events_grams_idx ON catalog.events
    USING gin (catalog.grams(folded_name), catalog.grams(folded_location));
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
    name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 400),
    price bigint NOT NULL CHECK (price >= 0),              -- minor units of events.currency
    capacity int NOT NULL CHECK (capacity >= 1),
    max_per_booking int NOT NULL CHECK (max_per_booking >= 1),
    max_per_buyer int NOT NULL DEFAULT 0 CHECK (max_per_buyer BETWEEN 0 AND 100000), -- 0: no limit
    CONSTRAINT ticket_types_event_position_key UNIQUE (event_id, position)
);
