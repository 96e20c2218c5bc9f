"""The `identity` command as a separate process."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from goticket.identity.v1 import identity_pb2, identity_pb2_grpc
from goticket_platform.migrations import migrate_down, migrate_up, migration_status
from goticket_platform.rpc.client import call
from goticket_testing.databases import DatabaseFactory
from goticket_testing.rpc_keys import caller_keys_setting, open_service_channel

COMMAND = Path(sys.executable).with_name("identity")
TIMEOUT_SECONDS = 30.0


def environment(**settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if "IDENTITY_" not in name}
    return {**inherited, **settings}


@asynccontextmanager
async def started(
    *arguments: str, env: Mapping[str, str]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    process = await asyncio.create_subprocess_exec(
        COMMAND, *arguments, env=env, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr
    try:
        yield process, process.stderr
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def serve_environment(database_url: str, redis_url: str) -> dict[str, str]:
    return environment(
        IDENTITY_DATABASE_URL=database_url,
        IDENTITY_REDIS_URL=redis_url,
        IDENTITY_GRPC_LISTEN="127.0.0.1:0",
        IDENTITY_RPC_CALLER_KEYS=caller_keys_setting("identity"),
        IDENTITY_SIGNING_KEY=base64.b64encode(bytes(32)).decode(),
        IDENTITY_ADMIN_EMAIL="admin@goticket.example",
        IDENTITY_ADMIN_PASSWORD="goticket-demo",
    )


async def read_until(log: asyncio.StreamReader, text: str) -> list[str]:
    """Read log lines up to the first one that contains `text`."""
    lines: list[str] = []
    while not lines or text not in lines[-1]:
        lines.append((await log.readline()).decode())
        assert lines[-1], "".join(lines)
    return lines


async def test_serve_logs_its_port_responds_and_stops_at_sigterm(
    database: DatabaseFactory, redis_url: str
) -> None:
    env = serve_environment(await database("identity"), redis_url)
    async with asyncio.timeout(TIMEOUT_SECONDS), started("serve", env=env) as (process, log):
        lines = await read_until(log, "first admin ensured")
        (address,) = [entry["grpc"] for entry in map(json.loads, lines) if "grpc" in entry]
        async with open_service_channel(address) as channel:
            stub = identity_pb2_grpc.IdentityServiceStub(channel)
            request = identity_pb2.LoginRequest(
                email="admin@goticket.example", password="goticket-demo"
            )
            assert (await call(stub.Login, request, timeout=10)).tokens.refresh_token
        process.send_signal(signal.SIGTERM)
        rest = (await log.read()).decode()
        assert await process.wait() == 0
    assert "goticket-demo" not in "".join(lines) + rest
    assert "admin@" not in "".join(lines) + rest


async def test_serve_creates_the_first_admin_once_the_database_is_migrated(
    database: DatabaseFactory, redis_url: str
) -> None:
    database_url = await database("identity")
    migrations = await migration_status(database_url, "identity.migrations")
    await migrate_down(database_url, "identity.migrations", len(migrations))
    env = serve_environment(database_url, redis_url)
    async with asyncio.timeout(TIMEOUT_SECONDS), started("serve", env=env) as (_, log):
        await read_until(log, "first admin not created, retrying")
        await migrate_up(database_url, "identity.migrations")
        lines = await read_until(log, "first admin ensured")
    assert json.loads(lines[-1])["created"] is True


async def test_serve_stops_while_it_waits_for_its_database(redis_url: str) -> None:
    env = serve_environment("postgresql://identity@127.0.0.1:1/goticket", redis_url)
    async with asyncio.timeout(TIMEOUT_SECONDS), started("serve", env=env) as (process, log):
        await read_until(log, "first admin not created, retrying")
        process.send_signal(signal.SIGTERM)
        await log.read()
        assert await process.wait() == 0


async def test_migrate_status_lists_the_applied_migrations(database: DatabaseFactory) -> None:
    env = environment(IDENTITY_DATABASE_URL=await database("identity"))
    process = await asyncio.create_subprocess_exec(
        COMMAND, "migrate", "status", env=env, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_SECONDS)
    assert process.returncode == 0
    lines = output.decode().splitlines()
    assert lines
    assert all(line.startswith("applied  ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["serve"], "IDENTITY_SIGNING_KEY"), (["relay"], "IDENTITY_AMQP_URL"), (["dance"], "usage")],
)
def test_an_invalid_start_reports_its_reason(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [COMMAND, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
