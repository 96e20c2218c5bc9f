"""Shortcuts around fpdf2 and segno."""
