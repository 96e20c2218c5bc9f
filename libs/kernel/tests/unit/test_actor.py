"""Roles of actors."""

from uuid import UUID, uuid4

from goticket_kernel.actor import ADMIN, ORGANIZER, Actor


def test_roles_are_those_of_the_token() -> None:
    assert Actor(uuid4(), frozenset({ADMIN})).is_admin
    assert Actor(uuid4(), frozenset({ORGANIZER})).is_organizer
    assert not Actor(uuid4()).is_admin
    assert not Actor(uuid4()).is_organizer


def test_an_anonymous_actor_has_no_role() -> None:
    anonymous = Actor(UUID(int=0), frozenset({ADMIN, ORGANIZER}))
    assert anonymous.is_anonymous
    assert not anonymous.is_admin
    assert not anonymous.is_organizer
