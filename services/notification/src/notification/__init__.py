"""Sends e-mails with tickets for the messages of the booking service."""
