"""PostgreSQL, Redis, the catalog, and the signer of ticket codes."""
