"""Roles of users; at least one user is always an administrator."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from identity.domain.errors import InvalidAccount, LastAdmin
from identity.domain.user import Role, User

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ADMIN = User(
    UUID(int=1), "a@goticket.example", "A", frozenset({Role.USER, Role.ADMIN}), created_at=NOW
)
OTHER = UUID(int=2)


def test_every_user_keeps_the_role_user() -> None:
    changed = ADMIN.with_roles(["organizer"], admins={ADMIN.id, OTHER})
    assert changed.roles == {Role.USER, Role.ORGANIZER}
    assert changed.version == ADMIN.version + 1


def test_the_same_roles_change_nothing() -> None:
    assert ADMIN.with_roles(["admin", "admin", "user"], admins={ADMIN.id}) is ADMIN


@pytest.mark.parametrize("role", ["root", "", "Admin", "user "])
def test_an_unknown_role_is_a_field_error(role: str) -> None:
    with pytest.raises(InvalidAccount) as error:
        ADMIN.with_roles(["user", role], admins={ADMIN.id, OTHER})
    assert [invalid.field for invalid in error.value.fields] == ["roles"]


def test_the_last_admin_stays_one() -> None:
    with pytest.raises(LastAdmin):
        ADMIN.with_roles(["organizer"], admins={ADMIN.id})


class RoleChanges(RuleBasedStateMachine):
    """Changes of the roles of three users, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.users = {
            number: User(UUID(int=number), f"u{number}@goticket.example", "U", roles, NOW)
            for number, roles in enumerate([ADMIN.roles, frozenset({Role.USER}), ADMIN.roles])
        }

    @rule(number=st.integers(0, 2), roles=st.sets(st.sampled_from(list(Role))))
    def set_roles(self, number: int, roles: set[Role]) -> None:
        """Set roles; an error changes nothing."""
        try:
            self.users[number] = self.users[number].with_roles(roles, self.admins())
        except LastAdmin:
            assert self.admins() == {self.users[number].id}

    def admins(self) -> set[UUID]:
        """Return the ids of the current administrators."""
        return {user.id for user in self.users.values() if user.is_admin}

    @invariant()
    def an_admin_exists(self) -> None:
        """There is an admin, and all users have the role user."""
        assert self.admins()
        assert all(Role.USER in user.roles for user in self.users.values())


TestRoleChanges = RoleChanges.TestCase
