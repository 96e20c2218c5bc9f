"""What services agree on beside the generated stubs."""
