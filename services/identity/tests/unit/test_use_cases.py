"""The use cases over fakes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from goticket_kernel.actor import ANONYMOUS, Actor
from goticket_kernel.errors import Forbidden
from identity.adapters.email_addresses import parse_email_address
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
from identity.domain.errors import (
    EmailTaken,
    InvalidAccount,
    InvalidCredentials,
    LastAdmin,
    SessionExpired,
    SessionStoreUnavailable,
    UserNotFound,
)
from identity.domain.user import Role, User, UserRegistered

NOW = datetime(2030, 1, 1, tzinfo=UTC)
EMAIL = "ada@goticket.example"
PASSWORD = "difference engine"


class InMemoryUserRepository:
    """Users in a dictionary; a failed transaction changes nothing."""

    def __init__(self) -> None:
        self.stored: dict[UUID, Credentials] = {}
        self.events: list[UserRegistered] = []

    async def get(self, user_id: UUID) -> User | None:
        found = self.stored.get(user_id)
        return found.user if found else None

    async def find(self, email: str) -> Credentials | None:
        return next((found for found in self.stored.values() if found.user.email == email), None)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["InMemoryUserRepository"]:
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
        admins = (found.user.id for found in self.stored.values() if found.user.is_admin)
        return LockedUsers(await self.get(user_id), frozenset(admins))

    async def save_roles(self, user: User) -> None:
        self.stored[user.id] = replace(self.stored[user.id], user=user)

    async def record(self, event: UserRegistered) -> None:
        self.events.append(event)


class FakePasswordHasher:
    """The hash of a password is the password backwards."""

    def __init__(self) -> None:
        self.hashed = 0
        self.checked: list[str | None] = []

    async def hash(self, password: str) -> str:
        self.hashed += 1
        return password[::-1]

    async def matches(self, password: str, password_hash: str | None) -> bool:
        self.checked.append(password_hash)
        return password_hash == password[::-1]


class InMemorySessionStore:
    """Sessions in a dictionary; unreachable while `unavailable` is set."""

    def __init__(self) -> None:
        self.unavailable = False
        self.tokens: dict[str, Session] = {}
        self.newest: dict[str, str] = {}

    def _require_available(self) -> None:
        if self.unavailable:
            raise SessionStoreUnavailable

    async def open(self, user_id: UUID) -> str:
        self._require_available()
        return self._next(user_id, uuid4().hex)

    async def find(self, token: str) -> Session | None:
        self._require_available()
        return self.tokens.get(token)

    async def rotate(self, session: Session) -> str:
        self._require_available()
        if self.newest.get(session.family_id) != session.token_hash:
            self.newest.pop(session.family_id, None)
            raise SessionExpired
        return self._next(session.user_id, session.family_id)

    async def end(self, session: Session) -> None:
        self._require_available()
        self.newest.pop(session.family_id, None)

    def _next(self, user_id: UUID, family_id: str) -> str:
        token = uuid4().hex
        self.tokens[token] = Session(user_id, family_id, token)
        self.newest[family_id] = token
        return token


class FakeAccessTokenIssuer:
    """The text of a token is the roles of its user."""

    lifetime = timedelta(minutes=15)
    jwks_json = '{"keys":[]}'

    def issue(self, user: User, now: datetime) -> str:
        assert now == NOW
        return " ".join(sorted(user.roles))


class Identity:
    """The use cases over fakes."""

    def __init__(self) -> None:
        self.users = InMemoryUserRepository()
        self.passwords = FakePasswordHasher()
        self.sessions = InMemorySessionStore()
        self.access_tokens = FakeAccessTokenIssuer()

    def clock(self) -> datetime:
        return NOW

    async def register(self, email: str = EMAIL, password: str = PASSWORD) -> User:
        return await register(
            email,
            password,
            "Ada",
            users=self.users,
            passwords=self.passwords,
            parse_email=parse_email_address,
            clock=self.clock,
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
            parse_email=parse_email_address,
            clock=self.clock,
        )

    async def find(self, actor: Actor, email: str) -> User:
        return await find_user(actor, email, users=self.users, parse_email=parse_email_address)

    async def refresh(self, token: str) -> Tokens:
        return await refresh(
            token,
            users=self.users,
            sessions=self.sessions,
            access_tokens=self.access_tokens,
            clock=self.clock,
        )

    async def first_admin(self, password: str = PASSWORD) -> User | None:
        return await create_first_admin(
            "admin@goticket.example",
            password,
            users=self.users,
            passwords=self.passwords,
            parse_email=parse_email_address,
            clock=self.clock,
            new_id=uuid4,
        )

    async def admin(self) -> Actor:
        user = await self.first_admin()
        assert user
        return Actor(user.id, frozenset(user.roles))


@pytest.fixture
def identity() -> Identity:
    return Identity()


async def test_register_stores_the_hash_and_records_one_event(identity: Identity) -> None:
    user = await identity.register("Ada@GoTicket.Example")
    stored = identity.users.stored[user.id]
    assert stored == Credentials(user, PASSWORD[::-1])
    assert [event.user for event in identity.users.events] == [user]


async def test_an_address_in_another_case_is_the_same_address(identity: Identity) -> None:
    await identity.register()
    with pytest.raises(EmailTaken):
        await identity.register(EMAIL.upper())
    assert len(identity.users.stored) == len(identity.users.events) == 1


async def test_a_registration_that_is_refused_hashes_no_password(identity: Identity) -> None:
    await identity.register()
    with pytest.raises(EmailTaken):
        await identity.register(EMAIL.upper())
    with pytest.raises(InvalidAccount):
        await identity.register("no address")
    assert identity.passwords.hashed == 1


async def test_login_gives_an_access_token_and_a_session(identity: Identity) -> None:
    await identity.register()
    tokens = await identity.login(EMAIL.upper())
    assert tokens.access_token == "user"
    assert tokens.expires_in == 900
    assert tokens.refresh_token in identity.sessions.tokens


@pytest.mark.parametrize("email", ["eve@goticket.example", "not an address", "a\0@b.example", ""])
async def test_an_unknown_address_takes_a_check_and_has_the_same_error_as_a_wrong_password(
    identity: Identity, email: str
) -> None:
    await identity.register()
    with pytest.raises(InvalidCredentials) as wrong:
        await identity.login(password="wrong password")
    with pytest.raises(InvalidCredentials) as unknown:
        await identity.login(email)
    assert str(unknown.value) == str(wrong.value)
    assert identity.passwords.checked == [PASSWORD[::-1], None]


FORMS = ["Ann@B\u00dcCHER.example", "ann@xn--bcher-kva.example", " ann@bu\u0308cher.example "]


async def test_an_internationalized_address_is_one_account_in_every_form(
    identity: Identity,
) -> None:
    """RFC 5890, 2.3.2.4: domains are compared by their A-labels."""
    user = await identity.register(FORMS[0])
    assert user.email == "ann@xn--bcher-kva.example"
    admin = await identity.admin()
    for form in FORMS:
        with pytest.raises(EmailTaken):
            await identity.register(form)
        assert (await identity.login(form)).refresh_token
        assert await identity.find(admin, form) == user


@pytest.mark.parametrize(
    ("typed_first", "typed_later"),
    [
        ("caf\u00e9 cr\u00e8me", "cafe\u0301 cre\u0300me"),
        ("cafe\u0301 cre\u0300me", "caf\u00e9 cr\u00e8me"),
        ("long\u00a0enough", "long enough"),
        ("long\u3000enough", "long\u2003enough"),
        (
            "\ud55c\uad6d\uc5b4 \ube44\ubc00\ubc88\ud638",
            "\u1112\u1161\u11ab\uad6d\uc5b4 \ube44\ubc00\ubc88\ud638",
        ),
    ],
)
async def test_a_password_matches_whatever_keyboard_types_it(
    identity: Identity, typed_first: str, typed_later: str
) -> None:
    """RFC 8265, 4.2.2: spaces are mapped, and the form is NFC."""
    await identity.register(password=typed_first)
    assert (await identity.login(password=typed_later)).refresh_token


@pytest.mark.parametrize(
    "password", ["", "tab\there", "nul\0here", "x" * 513, "\ud800" * 9, "\u0378" * 9]
)
async def test_a_password_that_no_account_can_have_is_refused_without_a_hash(
    identity: Identity, password: str
) -> None:
    await identity.register()
    for email in (EMAIL, "eve@goticket.example"):
        with pytest.raises(InvalidCredentials):
            await identity.login(email, password)
    assert identity.passwords.checked == []


async def test_login_without_the_session_store_issues_only_an_access_token(
    identity: Identity,
) -> None:
    await identity.register()
    identity.sessions.unavailable = True
    tokens = await identity.login()
    assert tokens.access_token
    assert tokens.refresh_token == ""


async def test_refresh_issues_a_token_with_the_current_roles(identity: Identity) -> None:
    user = await identity.register()
    tokens = await identity.login()
    await identity.users.save_roles(replace(user, roles=frozenset({Role.USER, Role.ORGANIZER})))
    assert (await identity.refresh(tokens.refresh_token)).access_token == "organizer user"


async def test_a_token_used_twice_ends_its_session(identity: Identity) -> None:
    await identity.register()
    first = (await identity.login()).refresh_token
    second = (await identity.refresh(first)).refresh_token
    for token in (first, second):
        with pytest.raises(SessionExpired):
            await identity.refresh(token)


async def test_refresh_ends_the_session_of_a_deleted_user(identity: Identity) -> None:
    user = await identity.register()
    tokens = await identity.login()
    del identity.users.stored[user.id]
    with pytest.raises(SessionExpired):
        await identity.refresh(tokens.refresh_token)
    assert identity.sessions.newest == {}


async def test_logout_ends_the_session_and_ending_it_again_changes_nothing(
    identity: Identity,
) -> None:
    await identity.register()
    token = (await identity.login()).refresh_token
    for _ in range(2):
        await logout(token, sessions=identity.sessions)
    await logout("no such token", sessions=identity.sessions)
    with pytest.raises(SessionExpired):
        await identity.refresh(token)


async def test_refresh_and_logout_fail_without_the_session_store(identity: Identity) -> None:
    await identity.register()
    token = (await identity.login()).refresh_token
    identity.sessions.unavailable = True
    with pytest.raises(SessionStoreUnavailable):
        await identity.refresh(token)
    with pytest.raises(SessionStoreUnavailable):
        await logout(token, sessions=identity.sessions)


async def test_users_may_read_only_themselves(identity: Identity) -> None:
    user = await identity.register()
    other = await identity.register("eve@goticket.example")
    actor = Actor(user.id, frozenset({"user", "organizer"}))
    assert await get_user(actor, user.id, users=identity.users) == user
    for user_id in (other.id, uuid4()):
        with pytest.raises(Forbidden):
            await get_user(actor, user_id, users=identity.users)
    with pytest.raises(Forbidden):
        await identity.find(actor, EMAIL)


async def test_an_anonymous_actor_may_read_no_user(identity: Identity) -> None:
    with pytest.raises(Forbidden):
        await get_user(ANONYMOUS, ANONYMOUS.user_id, users=identity.users)
    with pytest.raises(Forbidden):
        await identity.find(ANONYMOUS, EMAIL)


async def test_an_admin_reads_and_finds_every_user(identity: Identity) -> None:
    admin = await identity.admin()
    user = await identity.register()
    assert await get_user(admin, user.id, users=identity.users) == user
    assert await identity.find(admin, EMAIL.upper()) == user
    with pytest.raises(UserNotFound):
        await get_user(admin, uuid4(), users=identity.users)
    for email in ("eve@goticket.example", "\0"):
        with pytest.raises(UserNotFound):
            await identity.find(admin, email)


async def test_an_admin_grants_and_removes_roles(identity: Identity) -> None:
    admin = await identity.admin()
    user = await identity.register()
    granted = await set_roles(admin, user.id, ["organizer"], users=identity.users)
    assert granted.roles == {Role.USER, Role.ORGANIZER}
    assert await identity.users.get(user.id) == granted
    removed = await set_roles(admin, user.id, [], users=identity.users)
    assert removed.roles == {Role.USER}
    assert removed.version == 3


async def test_only_admins_may_set_roles(identity: Identity) -> None:
    user = await identity.register()
    with pytest.raises(Forbidden):
        await set_roles(
            Actor(user.id, frozenset({"user"})), user.id, ["admin"], users=identity.users
        )


async def test_a_former_admin_cannot_restore_the_role_with_an_old_token(identity: Identity) -> None:
    admin = await identity.admin()
    other = await identity.register()
    await set_roles(admin, other.id, ["admin"], users=identity.users)
    await set_roles(Actor(other.id, admin.roles), admin.user_id, [], users=identity.users)
    with pytest.raises(Forbidden):
        await set_roles(admin, admin.user_id, ["admin"], users=identity.users)


async def test_set_roles_rejects_the_last_admin_unknown_roles_and_unknown_users(
    identity: Identity,
) -> None:
    admin = await identity.admin()
    with pytest.raises(LastAdmin):
        await set_roles(admin, admin.user_id, ["organizer"], users=identity.users)
    with pytest.raises(InvalidAccount):
        await set_roles(admin, admin.user_id, ["emperor"], users=identity.users)
    with pytest.raises(UserNotFound):
        await set_roles(admin, uuid4(), ["organizer"], users=identity.users)


async def test_the_first_admin_is_created_once_and_keeps_a_changed_password(
    identity: Identity,
) -> None:
    created = await identity.first_admin()
    assert created
    assert created.roles == {Role.USER, Role.ADMIN}
    assert await identity.first_admin("another password") is None
    assert identity.users.stored[created.id].password_hash == PASSWORD[::-1]
    assert len(identity.users.events) == 1


async def test_a_user_with_the_admins_address_does_not_become_admin(identity: Identity) -> None:
    user = await identity.register("admin@goticket.example")
    assert await identity.first_admin() is None
    assert await identity.users.get(user.id) == user


async def test_a_first_admin_with_a_short_password_is_rejected(identity: Identity) -> None:
    with pytest.raises(InvalidAccount):
        await identity.first_admin("short")
