"""What an event is and may become: pure decisions, no I/O."""
