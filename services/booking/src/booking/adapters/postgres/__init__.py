"""The schema `booking` in PostgreSQL."""
