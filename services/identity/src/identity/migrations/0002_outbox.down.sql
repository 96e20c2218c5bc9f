DROP TABLE identity.outbox;
