"""The whole system as processes: one config for `make up` and for the tests."""
