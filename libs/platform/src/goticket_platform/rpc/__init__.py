"""gRPC: one interceptor on the server, one call function on the client."""
