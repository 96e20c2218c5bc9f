\set buyer random(1, 1000000)
BEGIN;
UPDATE stock SET available = available - 1 WHERE id = 1 AND available >= 1;
INSERT INTO booking (id, stock_id, buyer, quantity, created_at) VALUES (gen_random_uuid(), 1, :buyer, 1, now());
INSERT INTO outbox (type, payload) VALUES ('booking.confirmed', '{"quantity":1,"buyer":"buyer@people.example"}');
COMMIT;
