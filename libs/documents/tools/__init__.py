"""Programs that make files of this package; started manually."""
