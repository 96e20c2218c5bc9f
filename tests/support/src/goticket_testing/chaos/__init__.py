"""Chaos tests: load and faults on the whole system, then a check of its invariants."""
