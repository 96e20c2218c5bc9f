"""The table of permissions: roles and ownership together."""

from uuid import UUID, uuid4

import pytest
from goticket_kernel.actor import ADMIN, ORGANIZER, Actor
from goticket_kernel.errors import Forbidden
from goticket_kernel.permissions import (
    GRANTS,
    Permission,
    Relation,
    is_permitted,
    relations_of,
    require_permission,
    roles_with,
)

ID, OTHER = uuid4(), uuid4()
NIL = UUID(int=0)


def test_every_permission_is_granted_to_some_relation() -> None:
    assert GRANTS.keys() == set(Permission)
    assert all(GRANTS.values())


@pytest.mark.parametrize(
    ("roles", "owner_id", "organizer_id", "relations"),
    [
        ((), OTHER, OTHER, set()),
        ((), ID, OTHER, {Relation.OWNER}),
        # A demoted organizer still owns the event, but has no role.
        ((), OTHER, ID, set()),
        ((ORGANIZER,), OTHER, ID, {Relation.ORGANIZER, Relation.ANY_ORGANIZER}),
        ((ORGANIZER,), OTHER, OTHER, {Relation.ANY_ORGANIZER}),
        ((ADMIN,), OTHER, OTHER, {Relation.ADMIN}),
        ((ADMIN,), OTHER, ID, {Relation.ADMIN}),
    ],
)
def test_a_relation_needs_role_and_ownership(
    roles: tuple[str, ...], owner_id: UUID, organizer_id: UUID, relations: set[Relation]
) -> None:
    actor = Actor(ID, frozenset(roles))
    assert relations_of(actor, owner_id=owner_id, organizer_id=organizer_id) == relations


@pytest.mark.parametrize("permission", Permission)
def test_an_anonymous_actor_has_no_permission_even_with_roles(permission: Permission) -> None:
    anonymous = Actor(NIL, frozenset({ADMIN, ORGANIZER}))
    assert not is_permitted(anonymous, permission, owner_id=NIL, organizer_id=NIL)
    with pytest.raises(Forbidden):
        require_permission(anonymous, permission, owner_id=NIL, organizer_id=NIL)


@pytest.mark.parametrize("permission", Permission)
def test_the_edge_refuses_no_role_that_might_have_the_permission(permission: Permission) -> None:
    for roles in ((), (ORGANIZER,), (ADMIN,)):
        actor = Actor(ID, frozenset(roles))
        needed = roles_with(permission)
        possible = is_permitted(actor, permission, owner_id=ID, organizer_id=ID)
        refused = bool(needed) and needed.isdisjoint(actor.roles)
        assert possible is not refused
