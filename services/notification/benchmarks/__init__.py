"""Measurements of the worker on servers of their own; started manually."""
