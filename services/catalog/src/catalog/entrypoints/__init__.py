"""How the catalog is reached: gRPC and the command line."""
