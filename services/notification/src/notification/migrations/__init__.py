"""Numbered SQL files of the notification schema."""
