"""Authentication of callers by access token."""
