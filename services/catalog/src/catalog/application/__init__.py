"""Use cases of the catalog, one file each."""
