"""Infrastructure that every service shares, without business rules."""
