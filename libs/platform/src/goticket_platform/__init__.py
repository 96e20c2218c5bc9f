"""Plumbing that every service shares; no business in it."""
