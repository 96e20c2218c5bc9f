"""Fonts shipped with tickets: DejaVu Sans 2.37, unmodified; see LICENSE.txt."""
