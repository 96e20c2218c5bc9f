"""Measurements of the platform on servers of their own; started manually."""
