"""What can be done with bookings: one file a use case."""
