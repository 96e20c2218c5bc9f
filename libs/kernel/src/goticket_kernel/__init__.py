"""Types that the domains of all services share. Standard library only."""
