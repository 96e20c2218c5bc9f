"""What the domains of all services share. Standard library only."""
