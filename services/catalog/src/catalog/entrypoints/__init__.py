"""gRPC service and command line of the catalog."""
