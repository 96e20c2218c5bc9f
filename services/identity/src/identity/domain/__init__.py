"""What an account is and what is allowed; standard library only, no I/O."""
