-- Most tickets that one buyer may have over all bookings; 0 is no limit.
ALTER TABLE catalog.events
    ADD COLUMN max_per_buyer int NOT NULL DEFAULT 0 CHECK (max_per_buyer BETWEEN 0 AND 100000);
ALTER TABLE catalog.ticket_types
    ADD COLUMN max_per_buyer int NOT NULL DEFAULT 0 CHECK (max_per_buyer BETWEEN 0 AND 100000);
