"""Where bookings are kept and whom booking asks."""
