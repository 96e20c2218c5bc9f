"""Numbered SQL steps of the schema booking."""
