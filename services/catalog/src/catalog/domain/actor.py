"""Who asks, and what their roles allow."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Actor:
    """A person, or a service account, on whose behalf a call is made."""

    user_id: UUID
    roles: frozenset[str]

    @property
    def is_admin(self) -> bool:
        """Tell whether every event is theirs to change."""
        return "admin" in self.roles

    @property
    def is_organizer(self) -> bool:
        """Tell whether they may have events of their own."""
        return "organizer" in self.roles
