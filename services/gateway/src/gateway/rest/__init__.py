"""The REST API: a package per resource with its router, schemas and mapping."""
