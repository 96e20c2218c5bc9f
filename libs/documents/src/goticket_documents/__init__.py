"""Tickets as PDF and QR code, and the text form of amounts, times and names."""
