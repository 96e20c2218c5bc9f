"""Use cases that only read, one file each."""
