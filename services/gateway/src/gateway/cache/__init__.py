"""Caches of public reads and their invalidation."""
