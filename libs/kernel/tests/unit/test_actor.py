"""Rights of actors."""

from uuid import UUID, uuid4

import pytest
from goticket_kernel.actor import ADMIN, ANONYMOUS, ORGANIZER, Actor
from goticket_kernel.errors import Forbidden


def test_an_admin_may_act_for_every_user() -> None:
    admin = Actor(uuid4(), frozenset({ADMIN}))
    admin.require_admin()
    admin.require_admin_or(uuid4())


def test_a_user_may_act_only_for_itself() -> None:
    user = Actor(uuid4())
    user.require_admin_or(uuid4(), user.user_id)
    with pytest.raises(Forbidden):
        user.require_admin_or(uuid4())
    with pytest.raises(Forbidden):
        user.require_admin()


def test_an_anonymous_actor_has_no_rights_even_with_roles() -> None:
    anonymous = Actor(UUID(int=0), frozenset({ADMIN, ORGANIZER}))
    assert anonymous.is_anonymous
    assert not anonymous.is_admin
    assert not anonymous.is_organizer
    with pytest.raises(Forbidden):
        ANONYMOUS.require_admin_or(UUID(int=0))
