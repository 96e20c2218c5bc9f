"""Databases of tests: cloned from a template that holds a service's migrated schema."""

import itertools
import secrets
from collections.abc import Awaitable, Callable

import asyncpg
from goticket_local.manifest import databases, load_services
from goticket_local.stack.bootstrap import bootstrap_script
from goticket_platform.migrations import migrate_up

from goticket_testing.backend import PostgresBackend

SERVICES = load_services()
ROLES = {service: database.role for service, database in databases(SERVICES).items()}
"""The role of each service that owns a database, by the service's name."""

DatabaseFactory = Callable[[str], Awaitable[str]]
"""Takes a service's name; returns the URL of a new database of it, for the service's role."""


class Postgres:
    """The session's PostgreSQL with the services' roles."""

    def __init__(self, server: PostgresBackend) -> None:
        self.server = server
        self.passwords = {service: secrets.token_hex(8) for service in ROLES}
        self._templates: set[str] = set()
        self._numbers = itertools.count(1)

    def dsn(self, service: str, database: str) -> str:
        """A connection URL of a service's role."""
        return self.server.dsn(ROLES[service], self.passwords[service], database)

    def superuser_dsn(self, database: str = "postgres") -> str:
        """A connection URL of the superuser."""
        return self.server.superuser_dsn(database)

    def create_database(self, name: str) -> None:
        """Create a database with the roles, schemas and extensions, but no tables."""
        self.server.create_database(name)
        self.server.run_sql(name, bootstrap_script(SERVICES, self.passwords))

    async def clone(self, service: str) -> str:
        """Create a database with a service's migrated schema; returns its name."""
        template = f"template_{service}"
        if template not in self._templates:
            self.create_database(template)
            await migrate_up(self.dsn(service, template), f"{service}.migrations")
            self._templates.add(template)
        name = f"{service}_{next(self._numbers)}"
        # Copies files. The default strategy also writes each page to the write-ahead log.
        await self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    async def drop(self, name: str) -> None:
        """Drop a database and disconnect its clients. Starts a server that a test stopped."""
        self.server.start()
        await self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def start(self) -> None:
        """Start the server unless it runs."""
        self.server.start()

    def stop(self) -> None:
        """Stop the server with a fast shutdown, which disconnects clients."""
        self.server.stop()

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
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
