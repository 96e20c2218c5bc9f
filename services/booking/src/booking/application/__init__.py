"""The use cases of booking, and the ports that they need."""
