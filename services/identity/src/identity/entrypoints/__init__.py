"""The doors: gRPC and the command line."""
