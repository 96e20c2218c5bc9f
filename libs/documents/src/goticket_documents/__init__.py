"""What GoTicket hands to people on paper, and the words, sums and times on it."""
