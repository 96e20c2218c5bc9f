"""Each service's role reaches its own schema and no other."""

import itertools

import asyncpg
import pytest
from goticket_testing.databases import ROLES, DatabaseFactory, Postgres


@pytest.mark.parametrize(("mine", "other"), list(itertools.permutations(ROLES, 2)))
async def test_a_service_cannot_read_another_services_schema(
    database: DatabaseFactory, postgres_server: Postgres, mine: str, other: str
) -> None:
    name = (await database(other)).rpartition("/")[2]
    connection = await asyncpg.connect(postgres_server.dsn(mine, name))
    try:
        for statement in (
            f"TABLE {other}.schema_migrations",
            f"CREATE TABLE {other}.intruder ()",
            "CREATE TABLE public.intruder ()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.execute(f"CREATE TABLE {mine}.own ()")
    finally:
        await connection.close()
