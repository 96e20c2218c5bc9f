"""What devices at the door need."""
