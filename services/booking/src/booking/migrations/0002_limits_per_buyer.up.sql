-- What the catalog allows one buyer over all bookings; 0 means no limit. What a buyer has
-- is counted from the bookings themselves, found by bookings_user_idx: no counter to keep
-- in step, and nothing to write for events without a limit.
ALTER TABLE booking.events ADD COLUMN max_per_buyer int NOT NULL DEFAULT 0;
ALTER TABLE booking.inventory ADD COLUMN max_per_buyer int NOT NULL DEFAULT 0;
-- A hold can be lengthened once.
ALTER TABLE booking.bookings ADD COLUMN hold_extended boolean NOT NULL DEFAULT false;
