"""Names and types that services share, beside the generated stubs."""
