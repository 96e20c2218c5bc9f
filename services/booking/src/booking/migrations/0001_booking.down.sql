DROP TABLE booking.idempotency_keys;
DROP TABLE booking.tickets;
DROP TABLE booking.booking_items;
DROP TABLE booking.bookings;
DROP TABLE booking.inventory;
DROP TABLE booking.events;
