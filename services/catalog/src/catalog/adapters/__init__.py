"""How the catalog reaches PostgreSQL and the booking service."""
