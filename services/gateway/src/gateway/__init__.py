"""The public door: REST and OpenAPI over the internal gRPC services."""
