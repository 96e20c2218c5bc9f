"""The JSON that goes in and out; nothing inside the system depends on it."""
