"""Measurements of drawing tickets; started manually."""
