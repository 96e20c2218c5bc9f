"""The whole system as processes: one wiring for `make up` and for the tests."""
