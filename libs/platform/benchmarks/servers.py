"""Temporary servers with durable settings for one measurement."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from goticket_local import reaper
from goticket_local.ports import free_port
from goticket_testing.backend import RabbitBackend, running
from goticket_testing.databases import Postgres
from goticket_testing.native import NativeSource


@dataclass(frozen=True)
class Servers:
    """The servers of a measurement, and a folder for logs."""

    postgres: Postgres
    rabbitmq: RabbitBackend
    folder: Path


@contextmanager
def private_servers() -> Iterator[Servers]:
    """Run PostgreSQL (fsync and synchronous_commit on) and RabbitMQ within the block."""
    folder = Path(tempfile.mkdtemp(prefix="goticket-bench-"))
    folder.chmod(0o711)  # PostgreSQL may run as another user
    with ExitStack() as stack:
        stack.enter_context(reaper.attach(folder))
        source = NativeSource(folder)
        durable = type(source.postgres())(
            folder / "postgres", free_port(), password=secrets.token_hex(16), durable=True
        )
        postgres = stack.enter_context(running(durable))
        rabbitmq = stack.enter_context(running(source.rabbitmq()))
        yield Servers(Postgres(postgres), rabbitmq, folder)
