"""Users, roles, sessions and access tokens."""
