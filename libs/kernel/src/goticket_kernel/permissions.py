"""The permissions of GoTicket, and who has them. Every service decides by this one table.

A right over an event needs the role and the ownership: an organizer who has lost the role
has no rights over the event any more. Roles are those of the caller's access token.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from uuid import UUID

from goticket_kernel.actor import ADMIN, ORGANIZER, Actor
from goticket_kernel.errors import Forbidden


class Relation(StrEnum):
    """What an actor is to the object of a request. An actor may be several at once."""

    OWNER = "owner"
    """The account that a user profile, a booking or a ticket belongs to."""
    ORGANIZER = "organizer"
    """Has the role organizer and owns the event."""
    ANY_ORGANIZER = "any organizer"
    """Has the role organizer."""
    ADMIN = "admin"
    """Has the role admin."""


class Permission(StrEnum):
    """What an actor may do with an object."""

    CREATE_EVENT = "create an event"
    CHANGE_EVENT = "change or cancel an event"
    READ_DRAFT = "read an event that was never published"
    LIST_EVENT_BOOKINGS = "list all bookings of an event"
    READ_CHECK_IN_LIST = "read the check-in list of an event"
    READ_BOOKING = "read a booking or one of its tickets"
    READ_TICKET_CODE = "read the code of a ticket"
    CHANGE_HOLD = "confirm or extend a hold"
    CANCEL_BOOKING = "cancel a booking"
    READ_USER = "read a user profile"
    FIND_USER = "find a user by address"
    SET_ROLES = "change the roles of a user"


GRANTS: Final[Mapping[Permission, frozenset[Relation]]] = {
    Permission.CREATE_EVENT: frozenset({Relation.ANY_ORGANIZER, Relation.ADMIN}),
    Permission.CHANGE_EVENT: frozenset({Relation.ORGANIZER, Relation.ADMIN}),
    Permission.READ_DRAFT: frozenset({Relation.ORGANIZER, Relation.ADMIN}),
    Permission.LIST_EVENT_BOOKINGS: frozenset({Relation.ORGANIZER, Relation.ADMIN}),
    Permission.READ_CHECK_IN_LIST: frozenset({Relation.ORGANIZER, Relation.ADMIN}),
    Permission.READ_BOOKING: frozenset({Relation.OWNER, Relation.ORGANIZER, Relation.ADMIN}),
    # A code opens the door for any person who shows it, so only its owner gets it.
    Permission.READ_TICKET_CODE: frozenset({Relation.OWNER}),
    Permission.CHANGE_HOLD: frozenset({Relation.OWNER, Relation.ADMIN}),
    Permission.CANCEL_BOOKING: frozenset({Relation.OWNER, Relation.ORGANIZER, Relation.ADMIN}),
    Permission.READ_USER: frozenset({Relation.OWNER, Relation.ADMIN}),
    Permission.FIND_USER: frozenset({Relation.ADMIN}),
    Permission.SET_ROLES: frozenset({Relation.ADMIN}),
}
"""The relations that have each permission."""

_ROLE_OF = {
    Relation.ORGANIZER: ORGANIZER,
    Relation.ANY_ORGANIZER: ORGANIZER,
    Relation.ADMIN: ADMIN,
}


def relations_of(
    actor: Actor, *, owner_id: UUID | None = None, organizer_id: UUID | None = None
) -> frozenset[Relation]:
    """Return what `actor` is to an object of this owner, or to an event of this organizer."""
    if actor.is_anonymous:
        return frozenset()
    relations = {
        Relation.OWNER: actor.user_id == owner_id,
        Relation.ORGANIZER: actor.is_organizer and actor.user_id == organizer_id,
        Relation.ANY_ORGANIZER: actor.is_organizer,
        Relation.ADMIN: actor.is_admin,
    }
    return frozenset(relation for relation, applies in relations.items() if applies)


def is_permitted(
    actor: Actor,
    permission: Permission,
    *,
    owner_id: UUID | None = None,
    organizer_id: UUID | None = None,
) -> bool:
    """Return whether `actor` has a permission over an object of these accounts."""
    relations = relations_of(actor, owner_id=owner_id, organizer_id=organizer_id)
    return not relations.isdisjoint(GRANTS[permission])


def require_permission(
    actor: Actor,
    permission: Permission,
    *,
    owner_id: UUID | None = None,
    organizer_id: UUID | None = None,
) -> None:
    """Check that `actor` has a permission over an object of these accounts.

    Raises:
        Forbidden: it has not.
    """
    if not is_permitted(actor, permission, owner_id=owner_id, organizer_id=organizer_id):
        raise Forbidden


def roles_with(permission: Permission) -> frozenset[str]:
    """Return the roles of which a caller needs one, whatever the object is.

    An edge may refuse other callers early. It is empty if an owner has the permission,
    because an owner needs no role.
    """
    if Relation.OWNER in GRANTS[permission]:
        return frozenset()
    return frozenset(_ROLE_OF[relation] for relation in GRANTS[permission])
