"""The one place that constructs things: the server and the relay, from settings."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
from goticket.identity.v1 import identity_pb2_grpc
from goticket_platform.ids import new_id
from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging import relay_process
from goticket_platform.ops import Health, serve_ops
from goticket_platform.postgres import open_pool
from goticket_platform.rpc.server import serve_grpc
from redis.asyncio import Redis

from identity.adapters.access_tokens import Ed25519AccessTokens
from identity.adapters.passwords import BcryptPasswords
from identity.adapters.sessions import RedisSessions, connect
from identity.adapters.users import SCHEMA, PostgresUsers
from identity.application.create_first_admin import create_first_admin
from identity.application.ports import Passwords, Users
from identity.config import RelaySettings, ServeSettings
from identity.entrypoints.grpc import SERVICE_NAME, IdentityServicer
from identity.entrypoints.grpc_errors import ERRORS

SOURCE = "/goticket/identity"
"""CloudEvents source of identity's events."""
DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What a database says that is away, starting, or not migrated yet."""
RETRY_SECONDS = 1.0
"""Pause between tries to reach the database at the start."""

logger = get_logger(__name__)


@asynccontextmanager
async def server(settings: ServeSettings, stop: Stop) -> AsyncIterator[int]:
    """Run the gRPC server and the ops port; yield the gRPC port once it wants calls."""
    health = Health()
    passwords = BcryptPasswords(settings.bcrypt_cost)
    redis = connect(settings.redis_url)
    pool = await open_pool(settings.database_url)
    users = PostgresUsers(pool)
    register = _adding(_servicer(settings, users, passwords, redis))
    # Redis is no check: without it people still log in, so calls are still wanted.
    health.add_check("postgres", lambda: pool.fetchval("SELECT 1"))
    try:
        async with (
            serve_ops(settings.metrics_listen, health),
            serve_grpc(settings.grpc_listen, ERRORS, register, [SERVICE_NAME], health) as port,
        ):
            await _ensure_first_admin(settings, users, passwords, stop)
            health.ready = True
            yield port
    finally:
        passwords.close()
        await redis.aclose()
        await users.close()
        await pool.close()


def _servicer(
    settings: ServeSettings, users: Users, passwords: Passwords, redis: Redis
) -> IdentityServicer:
    return IdentityServicer(
        users=users,
        passwords=passwords,
        sessions=RedisSessions(redis, timedelta(days=settings.refresh_token_days)),
        access_tokens=Ed25519AccessTokens(
            seed=settings.signing_key,
            retired=settings.retired_keys,
            issuer=settings.issuer,
            audience=settings.audience,
            lifetime=timedelta(seconds=settings.access_token_seconds),
            new_id=new_id,
        ),
        now=_now,
        new_id=new_id,
    )


async def run_server(settings: ServeSettings, stop: Stop) -> None:
    """Serve until the stop."""
    async with server(settings, stop):
        await stop.wait()


async def run_relay(settings: RelaySettings, stop: Stop) -> None:
    """Publish what is in the outbox until the stop."""
    await relay_process.run_relay(
        dsn=settings.database_url,
        amqp_url=settings.amqp_url,
        schema=SCHEMA,
        source=SOURCE,
        metrics_listen=settings.metrics_listen,
        stop=stop,
    )


async def _ensure_first_admin(
    settings: ServeSettings, users: Users, passwords: Passwords, stop: Stop
) -> None:
    """Create the admin the settings name, as soon as the database lets us."""
    if not settings.admin_email or not settings.admin_password:
        return
    while not stop.is_set():
        try:
            created = await create_first_admin(
                settings.admin_email,
                settings.admin_password.get_secret_value(),
                users=users,
                passwords=passwords,
                now=_now,
                new_id=new_id,
            )
        except DATABASE_ERRORS as error:
            logger.warning("first admin has to wait", error=type(error).__name__)
            await stop.wait(RETRY_SECONDS)
        else:
            logger.info("first admin", created=created is not None)
            return


def _adding(servicer: IdentityServicer) -> Callable[[grpc.aio.Server], None]:
    return lambda server: identity_pb2_grpc.add_IdentityServiceServicer_to_server(servicer, server)


def _now() -> datetime:
    return datetime.now(UTC)
