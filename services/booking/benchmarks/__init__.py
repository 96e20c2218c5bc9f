"""Measurements, run manually."""
