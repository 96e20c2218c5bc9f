"""The actor: the account on whose behalf a call is made."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

ADMIN: Final = "admin"
ORGANIZER: Final = "organizer"

_NIL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Actor:
    """An account as its verified token names it. The nil UUID (RFC 9562, 5.9) means anonymous."""

    user_id: UUID = _NIL
    roles: frozenset[str] = frozenset()
    email: str = ""
    name: str = ""

    @property
    def is_anonymous(self) -> bool:
        """Whether no account is behind the call. An anonymous actor has no rights."""
        return self.user_id == _NIL

    @property
    def is_admin(self) -> bool:
        """Whether the actor has the role admin."""
        return ADMIN in self.roles and not self.is_anonymous

    @property
    def is_organizer(self) -> bool:
        """Whether the actor has the role organizer."""
        return ORGANIZER in self.roles and not self.is_anonymous


ANONYMOUS: Final = Actor()
"""The actor of a call without a token."""
