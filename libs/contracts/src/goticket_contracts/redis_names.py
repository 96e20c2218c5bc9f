"""Redis keys and channels that several services use. Redis is never the source of truth."""

from typing import Final
from uuid import UUID

SOLD_OUT_CHANNEL: Final = "goticket:sold-out"
"""JSON {"eventId", "ticketTypeId", "available", "version"}: a ticket type has sold out, or is
available again. Published by booking, consumed by gateways."""

EVENT_CHANGED_CHANNEL: Final = "goticket:event-changed"
"""JSON {"eventId", "version"}: an event has changed. Published by the gateway that served the
change, consumed by all gateways."""

EVENT_LISTS_GENERATION_KEY: Final = "goticket:{events}:generation"
"""A random text, replaced before each message of EVENT_CHANGED_CHANNEL. Cached event lists of
another generation are stale."""

BLOCKED_CLIENTS_KEY: Final = "goticket:blocked-clients"
"""Sorted set of the addresses that gateways block, by the Unix time at which the block ends.
Written and read by the gateways."""


def availability_key(event_id: UUID | str) -> str:
    """Return the key of the hash with an event's availability, a field per ticket type."""
    return f"goticket:availability:{{{event_id}}}"


def event_key(event_id: UUID | str) -> str:
    """Return the key of a cached public event."""
    return f"goticket:event:{{{event_id}}}"


def event_list_key(query_hash: str) -> str:
    """Return the key of a cached page of public events, by the hash of its query."""
    return f"goticket:{{events}}:list:{query_hash}"


def session_key(token_hash: str) -> str:
    """Return the key of the session that a refresh token's SHA-256 (hexadecimal) names."""
    return f"goticket:session:{token_hash}"


def session_family_key(family: UUID | str) -> str:
    """Return the key of the hash of a session family's newest refresh token."""
    return f"goticket:session-family:{family}"
