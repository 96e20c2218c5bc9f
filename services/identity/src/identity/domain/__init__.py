"""Accounts and their rules: pure decisions, no I/O."""
