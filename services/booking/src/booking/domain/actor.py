"""Who asks, and what they may do."""

from dataclasses import dataclass
from uuid import UUID

from booking.domain.errors import Forbidden

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Actor:
    """The person on whose behalf a call is made, as a verified token names them."""

    user_id: UUID
    email: str
    name: str
    roles: frozenset[str]

    @property
    def is_admin(self) -> bool:
        """Whether the actor administers everything."""
        return ADMIN in self.roles

    def must_be_one_of(self, *user_ids: UUID) -> None:
        """Raise Forbidden unless the actor is one of these people or an admin."""
        if self.user_id not in user_ids and not self.is_admin:
            raise Forbidden
