"""Fixtures for tests: real servers, cloned databases, factories."""
