"""Bookings, tickets and inventory. The only writer of inventory."""
