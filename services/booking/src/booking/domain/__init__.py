"""Decisions about stock and bookings: no I/O, time passed in."""
