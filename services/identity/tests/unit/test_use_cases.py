"""The use cases, on fakes that remember."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from identity.application.create_first_admin import create_first_admin
from identity.application.find_user import find_user
from identity.application.get_user import get_user
from identity.application.login import login
from identity.application.logout import logout
from identity.application.ports import Credentials, LockedUsers, Session
from identity.application.refresh import refresh
from identity.application.register import register
from identity.application.set_roles import set_roles
from identity.application.tokens import Tokens
from identity.domain.actor import Actor
from identity.domain.errors import (
    EmailTaken,
    Forbidden,
    InvalidAccount,
    InvalidCredentials,
    LastAdmin,
    SessionExpired,
    Unavailable,
    UserNotFound,
)
from identity.domain.user import Role, User, UserRegistered

NOW = datetime(2030, 1, 1, tzinfo=UTC)
EMAIL = "ada@goticket.example"
PASSWORD = "difference engine"


class FakeUsers:
    """Users in a dictionary; a failed change leaves them as they were."""

    def __init__(self) -> None:
        self.stored: dict[UUID, Credentials] = {}
        self.events: list[UserRegistered] = []

    async def get(self, user_id: UUID) -> User | None:
        found = self.stored.get(user_id)
        return found.user if found else None

    async def find(self, email: str) -> Credentials | None:
        return next((one for one in self.stored.values() if one.user.email == email), None)

    @asynccontextmanager
    async def change(self) -> AsyncIterator["FakeUsers"]:
        before = dict(self.stored), list(self.events)
        try:
            yield self
        except BaseException:
            self.stored, self.events = before
            raise

    async def add(self, user: User, password_hash: str) -> bool:
        if await self.find(user.email):
            return False
        self.stored[user.id] = Credentials(user, password_hash)
        return True

    async def lock(self, user_id: UUID) -> LockedUsers:
        admins = (one.user.id for one in self.stored.values() if one.user.is_admin)
        return LockedUsers(await self.get(user_id), frozenset(admins))

    async def save_roles(self, user: User) -> None:
        self.stored[user.id] = replace(self.stored[user.id], user=user)

    async def record(self, event: UserRegistered) -> None:
        self.events.append(event)


class FakePasswords:
    """The hash of a password is the password backwards."""

    def __init__(self) -> None:
        self.checked: list[str | None] = []

    async def hash(self, password: str) -> str:
        return password[::-1]

    async def matches(self, password: str, password_hash: str | None) -> bool:
        self.checked.append(password_hash)
        return password_hash == password[::-1]


class FakeSessions:
    """Families in a dictionary, until `away`."""

    def __init__(self) -> None:
        self.away = False
        self.tokens: dict[str, Session] = {}
        self.newest: dict[str, str] = {}

    def _answer(self) -> None:
        if self.away:
            raise Unavailable

    async def open(self, user_id: UUID) -> str:
        self._answer()
        return self._next(user_id, uuid4().hex)

    async def find(self, token: str) -> Session | None:
        self._answer()
        return self.tokens.get(token)

    async def rotate(self, session: Session) -> str:
        self._answer()
        if self.newest.get(session.family) != session.token_hash:
            self.newest.pop(session.family, None)
            raise SessionExpired
        return self._next(session.user_id, session.family)

    async def end(self, session: Session) -> None:
        self._answer()
        self.newest.pop(session.family, None)

    def _next(self, user_id: UUID, family: str) -> str:
        token = uuid4().hex
        self.tokens[token] = Session(user_id, family, token)
        self.newest[family] = token
        return token


class FakeAccessTokens:
    """A token is the roles it carries."""

    lifetime = timedelta(minutes=15)
    jwks_json = '{"keys":[]}'

    def issue(self, user: User, now: datetime) -> str:
        assert now == NOW
        return " ".join(sorted(user.roles))


class World:
    """Everything the use cases touch."""

    def __init__(self) -> None:
        self.users = FakeUsers()
        self.passwords = FakePasswords()
        self.sessions = FakeSessions()
        self.access_tokens = FakeAccessTokens()

    def now(self) -> datetime:
        return NOW

    async def register(self, email: str = EMAIL) -> User:
        return await register(
            email,
            PASSWORD,
            "Ada",
            users=self.users,
            passwords=self.passwords,
            now=self.now,
            new_id=uuid4,
        )

    async def login(self, email: str = EMAIL, password: str = PASSWORD) -> Tokens:
        return await login(
            email,
            password,
            users=self.users,
            passwords=self.passwords,
            sessions=self.sessions,
            access_tokens=self.access_tokens,
            now=self.now,
        )

    async def refresh(self, token: str) -> Tokens:
        return await refresh(
            token,
            users=self.users,
            sessions=self.sessions,
            access_tokens=self.access_tokens,
            now=self.now,
        )

    async def first_admin(self, password: str = PASSWORD) -> User | None:
        return await create_first_admin(
            "admin@goticket.example",
            password,
            users=self.users,
            passwords=self.passwords,
            now=self.now,
            new_id=uuid4,
        )

    async def admin(self) -> Actor:
        user = await self.first_admin()
        assert user
        return Actor(user.id, frozenset(user.roles))


@pytest.fixture
def world() -> World:
    return World()


async def test_registering_stores_the_hash_and_records_one_event(world: World) -> None:
    user = await world.register("Ada@GoTicket.Example")
    stored = world.users.stored[user.id]
    assert stored == Credentials(user, PASSWORD[::-1])
    assert [event.user for event in world.users.events] == [user]


async def test_an_address_in_another_case_is_the_same_address(world: World) -> None:
    await world.register()
    with pytest.raises(EmailTaken):
        await world.register(EMAIL.upper())
    assert len(world.users.stored) == len(world.users.events) == 1


async def test_login_gives_an_access_token_and_a_session(world: World) -> None:
    await world.register()
    tokens = await world.login(EMAIL.upper())
    assert tokens.access_token == "user"
    assert tokens.expires_in == 900
    assert tokens.refresh_token in world.sessions.tokens


@pytest.mark.parametrize("email", ["eve@goticket.example", "not an address", "a\0@b.example", ""])
async def test_an_unknown_address_costs_a_check_and_sounds_like_a_wrong_password(
    world: World, email: str
) -> None:
    await world.register()
    with pytest.raises(InvalidCredentials) as wrong:
        await world.login(password="wrong password")
    with pytest.raises(InvalidCredentials) as unknown:
        await world.login(email)
    assert str(unknown.value) == str(wrong.value)
    assert world.passwords.checked == [PASSWORD[::-1], None]


async def test_login_without_the_session_store_gives_the_access_token_alone(world: World) -> None:
    await world.register()
    world.sessions.away = True
    tokens = await world.login()
    assert tokens.access_token
    assert tokens.refresh_token == ""


async def test_refresh_carries_the_roles_of_this_moment(world: World) -> None:
    user = await world.register()
    tokens = await world.login()
    await world.users.save_roles(replace(user, roles=frozenset({Role.USER, Role.ORGANIZER})))
    assert (await world.refresh(tokens.refresh_token)).access_token == "organizer user"


async def test_a_token_used_twice_ends_its_session(world: World) -> None:
    await world.register()
    first = (await world.login()).refresh_token
    second = (await world.refresh(first)).refresh_token
    for token in (first, second):
        with pytest.raises(SessionExpired):
            await world.refresh(token)


async def test_refresh_ends_the_session_of_a_vanished_user(world: World) -> None:
    user = await world.register()
    tokens = await world.login()
    del world.users.stored[user.id]
    with pytest.raises(SessionExpired):
        await world.refresh(tokens.refresh_token)
    assert world.sessions.newest == {}


async def test_logout_ends_the_session_and_ending_it_again_changes_nothing(world: World) -> None:
    await world.register()
    token = (await world.login()).refresh_token
    for _ in range(2):
        await logout(token, sessions=world.sessions)
    await logout("no such token", sessions=world.sessions)
    with pytest.raises(SessionExpired):
        await world.refresh(token)


async def test_refresh_and_logout_say_so_when_the_session_store_is_away(world: World) -> None:
    await world.register()
    token = (await world.login()).refresh_token
    world.sessions.away = True
    with pytest.raises(Unavailable):
        await world.refresh(token)
    with pytest.raises(Unavailable):
        await logout(token, sessions=world.sessions)


async def test_users_read_themselves_and_nobody_else(world: World) -> None:
    user = await world.register()
    other = await world.register("eve@goticket.example")
    actor = Actor(user.id, frozenset({"user", "organizer"}))
    assert await get_user(actor, user.id, users=world.users) == user
    for user_id in (other.id, uuid4(), None):
        with pytest.raises(Forbidden):
            await get_user(actor, user_id, users=world.users)
    with pytest.raises(Forbidden):
        await find_user(actor, EMAIL, users=world.users)


async def test_nobody_in_particular_may_read_nothing(world: World) -> None:
    nobody = Actor(None, frozenset({"admin"}))
    with pytest.raises(Forbidden):
        await get_user(nobody, None, users=world.users)
    with pytest.raises(Forbidden):
        await find_user(nobody, EMAIL, users=world.users)


async def test_an_admin_reads_and_finds_anybody(world: World) -> None:
    admin = await world.admin()
    user = await world.register()
    assert await get_user(admin, user.id, users=world.users) == user
    assert await find_user(admin, EMAIL.upper(), users=world.users) == user
    for user_id in (uuid4(), None):
        with pytest.raises(UserNotFound):
            await get_user(admin, user_id, users=world.users)
    for email in ("eve@goticket.example", "\0"):
        with pytest.raises(UserNotFound):
            await find_user(admin, email, users=world.users)


async def test_an_admin_grants_and_takes_roles(world: World) -> None:
    admin = await world.admin()
    user = await world.register()
    granted = await set_roles(admin, user.id, ["organizer"], users=world.users)
    assert granted.roles == {Role.USER, Role.ORGANIZER}
    assert await world.users.get(user.id) == granted
    taken = await set_roles(admin, user.id, [], users=world.users)
    assert taken.roles == {Role.USER}
    assert taken.version == 3


async def test_set_roles_refuses_everybody_else(world: World) -> None:
    user = await world.register()
    with pytest.raises(Forbidden):
        await set_roles(Actor(user.id, frozenset({"user"})), user.id, ["admin"], users=world.users)


async def test_a_demoted_admin_cannot_use_an_old_token_to_come_back(world: World) -> None:
    admin = await world.admin()
    other = await world.register()
    await set_roles(admin, other.id, ["admin"], users=world.users)
    await set_roles(Actor(other.id, admin.roles), admin.user_id, [], users=world.users)
    with pytest.raises(Forbidden):
        await set_roles(admin, admin.user_id, ["admin"], users=world.users)


async def test_set_roles_names_what_is_wrong(world: World) -> None:
    admin = await world.admin()
    with pytest.raises(LastAdmin):
        await set_roles(admin, admin.user_id, ["organizer"], users=world.users)
    with pytest.raises(InvalidAccount):
        await set_roles(admin, admin.user_id, ["emperor"], users=world.users)
    for user_id in (uuid4(), None):
        with pytest.raises(UserNotFound):
            await set_roles(admin, user_id, ["organizer"], users=world.users)


async def test_the_first_admin_is_created_once_and_keeps_a_changed_password(world: World) -> None:
    created = await world.first_admin()
    assert created
    assert created.roles == {Role.USER, Role.ADMIN}
    assert await world.first_admin("another password") is None
    assert world.users.stored[created.id].password_hash == PASSWORD[::-1]
    assert len(world.users.events) == 1


async def test_whoever_registered_the_admins_address_does_not_become_admin(world: World) -> None:
    user = await world.register("admin@goticket.example")
    assert await world.first_admin() is None
    assert await world.users.get(user.id) == user


async def test_a_first_admin_with_a_short_password_is_refused(world: World) -> None:
    with pytest.raises(InvalidAccount):
        await world.first_admin("short")
