-- Nothing here looks into an event: it is written once and read once, whole. As json it is
-- checked and kept as text; to take it apart for jsonb, and to put it together again for the
-- relay, was a fifth of what a booking cost PostgreSQL.
ALTER TABLE booking.outbox
    ALTER COLUMN headers DROP DEFAULT,
    ALTER COLUMN headers TYPE json,
    ALTER COLUMN headers SET DEFAULT '{}',
    ALTER COLUMN payload TYPE json;
