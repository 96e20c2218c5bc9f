"""Adapters: PostgreSQL, Redis, bcrypt and JWT."""
