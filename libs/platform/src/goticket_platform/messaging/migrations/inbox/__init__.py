"""The inbox table."""
