ALTER TABLE catalog.events
    DROP COLUMN folded_name,
    DROP COLUMN folded_location,
    DROP COLUMN document,
    ADD COLUMN document tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', name), 'A')
        || setweight(to_tsvector('simple', location), 'B')
        || setweight(to_tsvector('simple', description), 'C')
    ) STORED;
CREATE INDEX events_document_idx ON catalog.events USING gin (document);
CREATE INDEX events_name_trigram_idx
    ON catalog.events USING gin (name extensions.gin_trgm_ops);
CREATE INDEX events_location_trigram_idx
    ON catalog.events USING gin (location extensions.gin_trgm_ops);
DROP TEXT SEARCH CONFIGURATION catalog.folded;
DROP FUNCTION catalog.folded;
