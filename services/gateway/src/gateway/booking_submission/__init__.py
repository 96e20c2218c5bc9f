"""New bookings on their way from HTTP to the booking service."""
