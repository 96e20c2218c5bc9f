"""How booking is reached: gRPC, messages, the command line, and the clock."""
