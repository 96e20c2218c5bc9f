"""Runs functions in processes of low priority beside an event loop."""
