DROP TABLE catalog.ticket_types;
DROP TABLE catalog.events;
DROP TEXT SEARCH CONFIGURATION catalog.folded;
DROP FUNCTION catalog.folded;
