"""Tickets and their printed forms."""
