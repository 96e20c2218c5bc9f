"""gRPC service and command line of identity."""
