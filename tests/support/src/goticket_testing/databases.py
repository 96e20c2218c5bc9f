"""Databases of tests: cloned from a template that holds a service's migrated schema."""

import itertools
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
from goticket_platform.migrations import migrate_up

from goticket_testing.backend import PostgresBackend

ROLES = ("identity", "catalog", "booking", "notification")
BOOTSTRAP = Path(__file__).parents[4] / "deploy" / "postgres" / "bootstrap.sql"

DatabaseFactory = Callable[[str], Awaitable[str]]
"""Takes a service's name, gives the URL of a fresh database of it, as that service's role."""


class Postgres:
    """The session's PostgreSQL with the services' roles."""

    def __init__(self, server: PostgresBackend) -> None:
        self.server = server
        self.passwords = {role: secrets.token_hex(8) for role in ROLES}
        self._templates: set[str] = set()
        self._numbers = itertools.count(1)

    def dsn(self, role: str, database: str) -> str:
        """A connection URL of a service's role."""
        return self.server.dsn(role, self.passwords[role], database)

    def superuser_dsn(self, database: str = "postgres") -> str:
        """A connection URL of the superuser."""
        return self.server.superuser_dsn(database)

    def create_database(self, name: str) -> None:
        """A database with the roles, schemas and extensions, but no tables."""
        self.server.create_database(name)
        passwords = {f"{role}_password": self.passwords[role] for role in ROLES}
        self.server.run_sql(name, BOOTSTRAP.read_text(), passwords)

    async def clone(self, service: str) -> str:
        """A fresh database with a service's migrated schema; returns its name."""
        template = f"template_{service}"
        if template not in self._templates:
            self.create_database(template)
            await migrate_up(self.dsn(service, template), f"{service}.migrations")
            self._templates.add(template)
        name = f"{service}_{next(self._numbers)}"
        # Copies the files; by default each page would go through the write-ahead log as well.
        await self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    async def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected; starts a server that a test stopped."""
        self.server.start()
        await self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def start(self) -> None:
        """Start the server again; harmless when it runs."""
        self.server.start()

    def stop(self) -> None:
        """Stop the server in order; clients are cut off."""
        self.server.stop()

    def kill(self) -> None:
        """End the server at once, as kill -9 does."""
        self.server.kill()

    def restart(self) -> None:
        """Stop and start the server."""
        self.server.restart()

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self.superuser_dsn(), timeout=20)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
