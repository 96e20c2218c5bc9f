"""PostgreSQL, Redis, bcrypt and JWT behind the ports."""
