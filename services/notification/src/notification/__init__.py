"""Turns domain events into e-mails with tickets in them."""
