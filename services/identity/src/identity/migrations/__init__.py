"""Numbered SQL steps of the schema "identity"."""
