"""Fonts shipped with tickets: DejaVu Sans 2.37 (LICENSE.txt) and subsets of Noto (OFL.txt)."""
