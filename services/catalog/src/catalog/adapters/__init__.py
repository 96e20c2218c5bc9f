"""Adapters to PostgreSQL and the booking service."""
