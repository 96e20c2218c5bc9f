"""Ids: UUIDv7 (RFC 9562), so that newer rows sort last and indexes stay compact."""

import uuid

from uuid_utils import compat


def new_id() -> uuid.UUID:
    """Return a new UUIDv7."""
    return compat.uuid7()
