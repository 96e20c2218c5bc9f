"""Each service's role has access to its own schema only."""

import itertools

import asyncpg
import pytest
from goticket_testing.databases import ROLES, DatabaseFactory, Postgres


@pytest.mark.parametrize(("own", "other"), list(itertools.permutations(ROLES, 2)))
async def test_a_service_cannot_read_another_services_schema(
    database: DatabaseFactory, postgres_server: Postgres, own: str, other: str
) -> None:
    name = (await database(other)).rpartition("/")[2]
    connection = await asyncpg.connect(postgres_server.dsn(own, name))
    try:
        for statement in (
            f"TABLE {other}.schema_migrations",
            f"CREATE TABLE {other}.forbidden ()",
            "CREATE TABLE public.forbidden ()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.execute(f"CREATE TABLE {own}.own ()")
    finally:
        await connection.close()
