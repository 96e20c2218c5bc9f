"""The only writer of stock: bookings and tickets."""
