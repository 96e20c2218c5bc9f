-- Nothing here looks into an event: it is written once and read once, whole, and as json kept as text.
ALTER TABLE identity.outbox
    ALTER COLUMN headers DROP DEFAULT,
    ALTER COLUMN headers TYPE json,
    ALTER COLUMN headers SET DEFAULT '{}',
    ALTER COLUMN payload TYPE json;
