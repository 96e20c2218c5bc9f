"""Chaos: load and faults on the whole system, and a checker of what must hold afterwards."""
