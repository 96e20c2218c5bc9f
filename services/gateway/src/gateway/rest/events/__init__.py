"""Events and their availability."""
