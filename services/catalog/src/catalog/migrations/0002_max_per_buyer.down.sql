ALTER TABLE catalog.ticket_types DROP COLUMN max_per_buyer;
ALTER TABLE catalog.events DROP COLUMN max_per_buyer;
