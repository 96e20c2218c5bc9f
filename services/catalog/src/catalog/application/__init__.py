"""What can be asked of the catalog: one file per use case."""
