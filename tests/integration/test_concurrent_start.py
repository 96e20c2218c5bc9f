"""Two copies of everything that start at once on empty servers end well."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import asyncpg
import pytest
from goticket_contracts.topology import TOPOLOGY
from goticket_local.concurrency import run_concurrently
from goticket_local.manifest import broker_users
from goticket_local.stack.accounts import NAMES, ApiClient
from goticket_local.stack.broker import bootstrap_broker
from goticket_local.stack.secrets import Secrets
from goticket_platform.migrations import migrate_up, migration_status
from goticket_testing.backend import RabbitBackend, RedisBackend, ServerSource, running
from goticket_testing.databases import ROLES, SERVICES, Postgres
from goticket_testing.native import NativeSource
from goticket_testing.stack import DATABASE, RunningStack

COPIES = 2
ROUNDS = 5


@pytest.fixture(scope="module")
def source(server_source: ServerSource, session_folder: Path) -> ServerSource:
    """Creates servers of their own: users and roles belong to a whole server."""
    if not isinstance(server_source, NativeSource):
        return server_source
    folder = session_folder / "concurrent-start"
    folder.mkdir(mode=0o711)
    return NativeSource(folder)


@pytest.fixture(scope="module")
def postgres(source: ServerSource) -> Iterator[Postgres]:
    with running(source.postgres()) as server:
        yield Postgres(server)


@pytest.fixture(scope="module")
def redis(source: ServerSource) -> Iterator[RedisBackend]:
    with running(source.redis()) as server:
        yield server


@pytest.fixture(scope="module")
def rabbitmq(source: ServerSource) -> Iterator[RabbitBackend]:
    with running(source.rabbitmq()) as server:
        yield server


def at_once(*actions: Callable[[], object]) -> None:
    """Run actions in threads that start at a barrier; raise the first error."""
    barrier = Barrier(len(actions))

    def start(action: Callable[[], object]) -> None:
        barrier.wait(30)
        action()

    run_concurrently(*(lambda action=action: start(action) for action in actions))


def test_databases_roles_schemas_and_tables_are_created_by_two_at_once(postgres: Postgres) -> None:
    async def migrate(database: str) -> None:
        await asyncio.gather(
            *(migrate_up(postgres.dsn(each, database), f"{each}.migrations") for each in ROLES)
        )

    def set_up(database: str) -> None:
        postgres.create_database(database)
        asyncio.run(migrate(database))

    for number in range(ROUNDS):
        database = f"round_{number}"
        at_once(*[lambda database=database: set_up(database)] * COPIES)
        for service in ROLES:
            status = asyncio.run(
                migration_status(postgres.dsn(service, database), f"{service}.migrations")
            )
            assert all(applied for _, applied in status)
        # The next round starts without roles, too.
        asyncio.run(drop_everything(postgres, database))


async def drop_everything(postgres: Postgres, database: str) -> None:
    await postgres.drop(database)
    connection = await asyncpg.connect(postgres.superuser_dsn())
    for role in ROLES.values():
        await connection.execute(f'DROP ROLE "{role}"')
    await connection.close()


def test_users_permissions_and_topology_are_created_by_two_at_once(
    rabbitmq: RabbitBackend,
) -> None:
    passwords = dict.fromkeys(broker_users(SERVICES), "secret")
    for number in range(ROUNDS):
        vhost = f"round-{number}"
        at_once(
            *[lambda vhost=vhost: bootstrap_broker(rabbitmq, vhost, SERVICES, passwords)] * COPIES
        )
        queues = {each["name"] for each in json.loads(rabbitmq.api("GET", f"/api/queues/{vhost}"))}
        expected = {TOPOLOGY.event_log}
        for spec in TOPOLOGY.queues:
            expected |= {spec.name, spec.dead_letters, *spec.retry_queues}
        assert queues == expected
        rabbitmq.delete_vhost(vhost)
        for user in passwords:
            rabbitmq.api("DELETE", f"/api/users/{user}")


def test_two_whole_systems_start_at_once_and_work_on_the_same_data(
    postgres: Postgres,
    redis: RedisBackend,
    rabbitmq: RabbitBackend,
    session_folder: Path,
) -> None:
    secrets = Secrets.generate()
    stacks = [
        RunningStack(session_folder / f"copy-{number}", postgres, redis, rabbitmq, secrets)
        for number in range(COPIES)
    ]
    with ExitStack() as cleanup:
        for stack in stacks:
            cleanup.callback(stack.stop_all)
        at_once(*(stack.set_up for stack in stacks))
        for stack in stacks:
            assert all(stack.ready(name) for name in stack.process_configs)
            token = ApiClient(stack.base_url).login(next(iter(NAMES)))
            assert token
        # The admin and the demo accounts exist once.
        users = asyncio.run(count(postgres, "SELECT count(*) FROM identity.users"))
        assert users == 1 + len(NAMES)


async def count(postgres: Postgres, query: str) -> int:
    connection = await asyncpg.connect(postgres.superuser_dsn(DATABASE))
    found: int = await connection.fetchval(query)
    await connection.close()
    return found
