"""The inbox of the catalog's messages."""

from typing import Protocol
from uuid import UUID


class Inbox(Protocol):
    """The inbox in a transaction."""

    async def record_once(self, message_id: UUID) -> bool:
        """Record a message; return False if it was recorded before."""
        ...
