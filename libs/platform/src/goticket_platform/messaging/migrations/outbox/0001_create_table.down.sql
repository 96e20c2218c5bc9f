DROP TABLE {schema}.outbox;
