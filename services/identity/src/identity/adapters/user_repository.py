"""Users in PostgreSQL. A change and its outbox row are committed together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp
from goticket.identity.v1 import events_pb2
from goticket_contracts.event_types import USER_REGISTERED
from goticket_platform.messaging.outbox import Outbox, OutboxMessage, OutboxNotifier
from goticket_platform.postgres import load_queries

from identity.application.ports import Credentials, LockedUsers
from identity.domain.user import Role, User, UserRegistered

QUERIES = load_queries("identity.adapters")
SCHEMA = "identity"


class PostgresUserRepository:
    """Users in the table identity.users."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._outbox = Outbox(SCHEMA)
        self._notifier = OutboxNotifier(pool, SCHEMA)

    async def get(self, user_id: UUID) -> User | None:
        """Return the user, or None."""
        row = await self._pool.fetchrow(QUERIES["get_user"], user_id)
        return _user_from_row(row) if row else None

    async def find(self, email: str) -> Credentials | None:
        """Return the user with this address, as parsed, and the password hash, or None."""
        row = await self._pool.fetchrow(QUERIES["find_user"], email)
        return Credentials(_user_from_row(row), row["password_hash"]) if row else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["_UserTransaction"]:
        """Open a transaction; it commits at the end of the block, then wakes the relay."""
        async with self._pool.acquire() as connection, connection.transaction():
            transaction = _UserTransaction(connection, self._outbox)
            yield transaction
        if transaction.has_messages:
            self._notifier.wake()

    async def close(self) -> None:
        """Finish the notification of the relay that is in flight, before the pool closes."""
        await self._notifier.close()


class _UserTransaction:
    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy, outbox: Outbox) -> None:
        self._connection = connection
        self._outbox = outbox
        self.has_messages = False

    async def add(self, user: User, password_hash: str) -> bool:
        added = await self._connection.fetchval(
            QUERIES["add_user"],
            user.id,
            user.email,
            user.name,
            password_hash,
            user.role_names,
            user.created_at,
            user.version,
        )
        return added is not None

    async def lock(self, user_id: UUID) -> LockedUsers:
        rows = await self._connection.fetch(QUERIES["lock_user_and_admins"], user_id)
        locked = {user.id: user for user in map(_user_from_row, rows)}
        return LockedUsers(
            user=locked.get(user_id),
            admins=frozenset(user.id for user in locked.values() if user.is_admin),
        )

    async def save_roles(self, user: User) -> None:
        await self._connection.execute(
            QUERIES["save_roles"], user.id, user.role_names, user.version
        )

    async def record(self, event: UserRegistered) -> None:
        await self._outbox.append(self._connection, [_outbox_message(event)])
        self.has_messages = True


def _outbox_message(event: UserRegistered) -> OutboxMessage:
    user = event.user
    registered_at = Timestamp()
    registered_at.FromDatetime(event.occurred_at)
    return OutboxMessage(
        type=USER_REGISTERED,
        aggregate_id=user.id,
        aggregate_version=user.version,
        partition_id=user.id,
        payload=events_pb2.UserRegistered(user_id=str(user.id), registered_at=registered_at),
        occurred_at=event.occurred_at,
    )


def _user_from_row(row: asyncpg.Record) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        roles=frozenset(Role(name) for name in row["roles"]),
        created_at=row["created_at"],
        version=row["version"],
    )
