"""The catalog service."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from booking.domain.event import CatalogEvent


class Catalog(Protocol):
    """The service that owns events and ticket types."""

    async def get_events(self, event_ids: Collection[UUID]) -> list[CatalogEvent]:
        """Read events, drafts and cancelled ones included; unknown ids are left out.

        Raises:
            CatalogUnavailable: the catalog does not answer.
        """
        ...
