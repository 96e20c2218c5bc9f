DROP TABLE catalog.outbox;
DROP TABLE catalog.ticket_types;
DROP TABLE catalog.events;
