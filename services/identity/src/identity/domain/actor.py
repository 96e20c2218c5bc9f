"""Who asks, and what they may do."""

from dataclasses import dataclass
from uuid import UUID

from identity.domain.errors import Forbidden
from identity.domain.user import Role


@dataclass(frozen=True)
class Actor:
    """The person on whose behalf a call is made; `user_id` is None for nobody in particular."""

    user_id: UUID | None
    roles: frozenset[str]

    def must_be_admin(self) -> None:
        """Raise Forbidden unless the actor administers."""
        if self.user_id is None or Role.ADMIN not in self.roles:
            raise Forbidden

    def must_be_admin_or(self, user_id: UUID | None) -> None:
        """Raise Forbidden unless the actor administers or is that user."""
        if self.user_id is None or self.user_id != user_id:
            self.must_be_admin()
