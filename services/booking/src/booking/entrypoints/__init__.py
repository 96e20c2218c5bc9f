"""The entry points of booking: gRPC, messages, the command line, and the sweeper."""
