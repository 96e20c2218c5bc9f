"""Messages between services: outbox, relay, queues, consumer, inbox, dead letters."""
