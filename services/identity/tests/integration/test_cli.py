"""The processes as an operator starts and stops them."""

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
from goticket_platform.rpc.client import call, open_channel
from goticket_testing.databases import DatabaseFactory

COMMAND = Path(sys.executable).with_name("identity")
DEADLINE = 30.0


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


async def test_serve_logs_its_port_answers_and_stops_in_order(
    database: DatabaseFactory, redis_url: str
) -> None:
    env = environment(
        IDENTITY_DATABASE_URL=await database("identity"),
        IDENTITY_REDIS_URL=redis_url,
        IDENTITY_GRPC_LISTEN="127.0.0.1:0",
        IDENTITY_SIGNING_KEY=base64.b64encode(bytes(32)).decode(),
        IDENTITY_ADMIN_EMAIL="admin@goticket.example",
        IDENTITY_ADMIN_PASSWORD="goticket-demo",
    )
    async with asyncio.timeout(DEADLINE), started("serve", env=env) as (process, log):
        lines: list[str] = []
        address = ""
        while not any("first admin" in line for line in lines):
            lines.append((await log.readline()).decode())
            assert lines[-1], "".join(lines)
            address = json.loads(lines[-1]).get("grpc", address)
        async with open_channel(address) as channel:
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


async def test_migrate_reports_what_is_applied(database: DatabaseFactory) -> None:
    env = environment(IDENTITY_DATABASE_URL=await database("identity"))
    done = await asyncio.create_subprocess_exec(
        COMMAND, "migrate", "status", env=env, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(done.communicate(), DEADLINE)
    assert done.returncode == 0
    assert b"applied  0001_users\n" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["serve"], "IDENTITY_SIGNING_KEY"), (["relay"], "IDENTITY_AMQP_URL"), (["dance"], "usage")],
)
def test_a_start_that_cannot_work_says_why(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [COMMAND, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
