"""Decisions about inventory and bookings: no I/O, time passed in."""
