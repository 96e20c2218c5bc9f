"""Load on the running system: `make bench`."""
