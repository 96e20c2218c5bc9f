"""Public keys."""
