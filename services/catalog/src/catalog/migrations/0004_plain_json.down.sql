ALTER TABLE catalog.outbox
    ALTER COLUMN headers DROP DEFAULT,
    ALTER COLUMN headers TYPE jsonb,
    ALTER COLUMN headers SET DEFAULT '{}',
    ALTER COLUMN payload TYPE jsonb;
