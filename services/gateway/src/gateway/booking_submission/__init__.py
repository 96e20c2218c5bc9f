"""How create-booking requests get to the booking service."""
