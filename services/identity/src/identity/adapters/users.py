"""Users in PostgreSQL, with their events in the outbox of the same transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from goticket.identity.v1 import events_pb2
from goticket_platform.messaging.outbox import Outbox, OutboxMessage, OutboxNotifier
from goticket_platform.postgres import load_queries

from identity.application.ports import Credentials, LockedUsers
from identity.domain.user import Role, User, UserRegistered
from identity.wire import role_names, user_message

QUERIES = load_queries("identity.adapters")
SCHEMA = "identity"
USER_REGISTERED = "goticket.identity.user.registered.v1"


class PostgresUsers:
    """Users in the table identity.users."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._outbox = Outbox(SCHEMA)
        self._notifier = OutboxNotifier(pool, SCHEMA)

    async def get(self, user_id: UUID) -> User | None:
        """Read a user."""
        row = await self._pool.fetchrow(QUERIES["get_user"], user_id)
        return _user(row) if row else None

    async def find(self, email: str) -> Credentials | None:
        """Read a user and the password hash by lower-case address."""
        row = await self._pool.fetchrow(QUERIES["find_user"], email)
        return Credentials(_user(row), row["password_hash"]) if row else None

    @asynccontextmanager
    async def change(self) -> AsyncIterator["_Changes"]:
        """Open a transaction; it commits at the end of the block, then wakes the relay."""
        async with self._pool.acquire() as connection, connection.transaction():
            changes = _Changes(connection, self._outbox)
            yield changes
        if changes.recorded:
            self._notifier.wake()

    async def close(self) -> None:
        """Let the wake-up of the relay in flight finish; call it before the pool closes."""
        await self._notifier.close()


class _Changes:
    def __init__(
        self,
        connection: asyncpg.pool.PoolConnectionProxy,
        outbox: Outbox,
    ) -> None:
        self._connection = connection
        self._outbox = outbox
        self.recorded = False

    async def add(self, user: User, password_hash: str) -> bool:
        added = await self._connection.fetchval(
            QUERIES["add_user"],
            user.id,
            user.email,
            user.name,
            password_hash,
            role_names(user),
            user.created_at,
            user.version,
        )
        return added is not None

    async def lock(self, user_id: UUID) -> LockedUsers:
        rows = await self._connection.fetch(QUERIES["lock_user_and_admins"], user_id)
        locked = {user.id: user for user in map(_user, rows)}
        return LockedUsers(
            user=locked.get(user_id),
            admins=frozenset(user.id for user in locked.values() if user.is_admin),
        )

    async def save_roles(self, user: User) -> None:
        await self._connection.execute(
            QUERIES["save_roles"], user.id, role_names(user), user.version
        )

    async def record(self, event: UserRegistered) -> None:
        await self._outbox.append(
            self._connection,
            [
                OutboxMessage(
                    type=USER_REGISTERED,
                    aggregate_id=event.user.id,
                    aggregate_version=event.user.version,
                    partition_id=event.user.id,
                    payload=events_pb2.UserRegistered(user=user_message(event.user)),
                    occurred_at=event.occurred_at,
                )
            ],
        )
        self.recorded = True


def _user(row: asyncpg.Record) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        roles=frozenset(Role(name) for name in row["roles"]),
        created_at=row["created_at"],
        version=row["version"],
    )
