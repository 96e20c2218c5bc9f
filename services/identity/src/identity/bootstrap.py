"""Constructs identity's processes from their settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
from goticket.identity.v1 import identity_pb2_grpc
from goticket_platform.ids import new_id
from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging import relay_process
from goticket_platform.ops import Health, serve_ops
from goticket_platform.postgres import DATABASE_ERRORS, open_pool
from goticket_platform.retry import RetryPolicy, retry
from goticket_platform.rpc.assertions import AssertionVerifier
from goticket_platform.rpc.server import serve_grpc
from redis.asyncio import Redis

from identity.adapters.access_token_issuer import Ed25519AccessTokenIssuer
from identity.adapters.email_addresses import parse_email_address
from identity.adapters.password_hasher import BcryptPasswordHasher
from identity.adapters.session_store import RedisSessionStore, connect
from identity.adapters.user_repository import SCHEMA, PostgresUserRepository
from identity.application.create_first_admin import create_first_admin
from identity.application.ports import PasswordHasher, UserRepository
from identity.config import RelaySettings, ServeSettings
from identity.domain.user import User
from identity.entrypoints.grpc import SERVICE_NAME, IdentityServicer
from identity.entrypoints.grpc_errors import ERRORS

SOURCE = "/goticket/identity"
"""CloudEvents source of the messages that the relay publishes."""
RETRY = RetryPolicy(first_wait=1.0, longest_wait=1.0)
"""Waits between attempts to create the first admin."""

logger = get_logger(__name__)


@asynccontextmanager
async def serving(settings: ServeSettings, stop: Stop) -> AsyncIterator[int]:
    """Run the gRPC server and the ops port; yield the gRPC port once the service is ready."""
    health = Health()
    passwords = BcryptPasswordHasher(settings.bcrypt_cost)
    redis = connect(settings.redis_url)
    pool = await open_pool(settings.database_url)
    users = PostgresUserRepository(pool)
    servicer = _servicer(settings, users, passwords, redis)

    def register(server: grpc.aio.Server) -> None:
        identity_pb2_grpc.add_IdentityServiceServicer_to_server(servicer, server)

    # No check of Redis: users can log in without it, so the service stays ready.
    health.add_check("postgres", lambda: pool.fetchval("SELECT 1"))
    try:
        async with (
            serve_ops(settings.metrics_listen, health),
            serve_grpc(
                settings.grpc_listen,
                ERRORS,
                register,
                [SERVICE_NAME],
                health,
                verifier=AssertionVerifier("identity", settings.rpc_caller_keys),
                with_reflection=settings.grpc_reflection,
                tls=settings.tls,
            ) as port,
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
    settings: ServeSettings, users: UserRepository, passwords: PasswordHasher, redis: Redis
) -> IdentityServicer:
    return IdentityServicer(
        users=users,
        passwords=passwords,
        sessions=RedisSessionStore(redis, timedelta(days=settings.refresh_token_days)),
        access_tokens=Ed25519AccessTokenIssuer(
            seed=settings.signing_key,
            retired=settings.retired_keys,
            issuer=settings.issuer,
            audience=settings.audience,
            lifetime=timedelta(seconds=settings.access_token_seconds),
            new_id=new_id,
        ),
        parse_email=parse_email_address,
        clock=_now,
        new_id=new_id,
    )


async def run_server(settings: ServeSettings, stop: Stop) -> None:
    """Serve until `stop`."""
    async with serving(settings, stop):
        await stop.wait()


async def run_relay(settings: RelaySettings, stop: Stop) -> None:
    """Publish the outbox until `stop`."""
    await relay_process.run_relay(
        dsn=settings.database_url,
        amqp_url=settings.amqp_url,
        schema=SCHEMA,
        source=SOURCE,
        metrics_listen=settings.metrics_listen,
        stop=stop,
    )


async def _ensure_first_admin(
    settings: ServeSettings, users: UserRepository, passwords: PasswordHasher, stop: Stop
) -> None:
    """Create the admin that the settings name, as soon as the database is reachable."""
    if not settings.admin_email or not settings.admin_password:
        return

    email, password = settings.admin_email, settings.admin_password.get_secret_value()

    async def create() -> User | None:
        try:
            return await create_first_admin(
                email,
                password,
                users=users,
                passwords=passwords,
                parse_email=parse_email_address,
                clock=_now,
                new_id=new_id,
            )
        except DATABASE_ERRORS as error:
            logger.warning("first admin not created, retrying", error=type(error).__name__)
            raise

    def is_retryable(error: BaseException) -> bool:
        return isinstance(error, DATABASE_ERRORS) and not stop.is_set()

    try:
        created = await retry(create, RETRY, is_retryable)
    except DATABASE_ERRORS:
        return  # The process is stopping.
    logger.info("first admin ensured", created=created is not None)


def _now() -> datetime:
    return datetime.now(UTC)
