"""The public API: REST and OpenAPI over the internal gRPC services."""
