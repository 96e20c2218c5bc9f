ALTER TABLE booking.bookings DROP COLUMN hold_extended;
ALTER TABLE booking.inventory DROP COLUMN max_per_buyer;
ALTER TABLE booking.events DROP COLUMN max_per_buyer;
