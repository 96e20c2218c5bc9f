-- Search without accents: "Beyonce" finds "Beyoncé", and the other way round. What the
-- indexes hold is folded, and so is what is looked for. Servers from before this step go on
-- working meanwhile: without these indexes, and with accents as typed. The extension unaccent
-- comes from deploy/postgres/bootstrap.sql.

-- unaccent is only STABLE, as its rules are a file: an upgrade of PostgreSQL that brings new
-- rules asks for a rewrite of the columns below. Composed first: the rules know whole letters.
CREATE FUNCTION catalog.folded(text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN extensions.unaccent('extensions.unaccent'::regdictionary, normalize($1));

-- Folds word by word. Folding a whole query would turn a dash into a minus, which excludes.
CREATE TEXT SEARCH CONFIGURATION catalog.folded (COPY = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION catalog.folded
    ALTER MAPPING FOR word, hword, hword_part WITH extensions.unaccent, pg_catalog.simple;

ALTER TABLE catalog.events
    DROP COLUMN document,
    ADD COLUMN document tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('catalog.folded', normalize(name)), 'A')
        || setweight(to_tsvector('catalog.folded', normalize(location)), 'B')
        || setweight(to_tsvector('catalog.folded', normalize(description)), 'C')
    ) STORED,
    ADD COLUMN folded_name text NOT NULL GENERATED ALWAYS AS (catalog.folded(name)) STORED,
    ADD COLUMN folded_location text NOT NULL
        GENERATED ALWAYS AS (catalog.folded(location)) STORED;
CREATE INDEX events_document_idx ON catalog.events USING gin (document);

DROP INDEX catalog.events_name_trigram_idx, catalog.events_location_trigram_idx;
CREATE INDEX events_name_trigram_idx
    ON catalog.events USING gin (folded_name extensions.gin_trgm_ops);
CREATE INDEX events_location_trigram_idx
    ON catalog.events USING gin (folded_location extensions.gin_trgm_ops);
