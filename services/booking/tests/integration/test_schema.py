"""The schema `booking`: migrations up and down, indexes, and permissions."""

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from booking.adapters.postgres.queries import QUERIES
from booking.bootstrap import open_bookings
from goticket_platform.migrations import migrate_down, migrate_up, migration_status
from goticket_testing.databases import DatabaseFactory

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import SilentAvailability

PACKAGE = "booking.migrations"
MANY_ROWS = (
    "lock_free_inventory",
    "inventories",
    "snapshot",
    "buyer_usage",
    "create_bookings",
    "change_bookings",
    "bookings",
    "bookings_by_key",
    "confirmed_bookings_of_buyers",
    "printed_tickets",
    "tickets_of_users",
    "items",
    "tickets",
)
"""Statements that read or write rows of many bookings or events at a time."""


@pytest.fixture
async def connection(database: DatabaseFactory) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(await database("booking"))
    yield connection
    await connection.close()


async def test_migrations_go_up_down_and_up_again(database: DatabaseFactory) -> None:
    dsn = await database("booking")
    count = len(await migration_status(dsn, PACKAGE))
    assert await migrate_up(dsn, PACKAGE) == []
    reverted = await migrate_down(dsn, PACKAGE, count)
    assert len(reverted) == count
    connection = await asyncpg.connect(dsn)
    remaining = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'booking'::regnamespace"
        " AND relkind = 'r' AND relname <> 'schema_migrations'"
    )
    await connection.close()
    assert remaining == []
    assert await migrate_up(dsn, PACKAGE) == reverted[::-1]


async def test_every_table_of_bookings_carries_the_event(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'booking'"
        " EXCEPT SELECT table_name FROM information_schema.columns"
        " WHERE table_schema = 'booking' AND column_name = 'event_id'"
    )
    assert {row["table_name"] for row in rows} == {"inbox", "outbox", "schema_migrations"}


async def test_the_role_cannot_enter_another_services_schema(
    connection: asyncpg.Connection,
) -> None:
    assert await connection.fetchval("SELECT current_user") == "booking"
    for schema in ("identity", "catalog", "notification"):
        for statement in (f"CREATE TABLE {schema}.x ()", f"TABLE {schema}.x"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


def scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Every node of a plan that reads a table."""
    found = [plan] if "Relation Name" in plan and plan["Node Type"] != "ModifyTable" else []
    for child in plan.get("Plans", ()):
        found += scans(child)
    return found


def unserved(name: str, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The reads of a plan that no index serves."""
    reads = [node for node in scans(plan) if node["Node Type"] != "Function Scan"]
    # Either the index finds the rows, or it is a partial one that holds nothing else.
    return [
        {"query": name, **node}
        for node in reads
        if "Seq Scan" in node["Node Type"]
        or not (
            "Index Cond" in node
            or "Recheck Cond" in node
            or "TID Cond" in node  # rows that another node has found
            or re.search(r"_(closing|due|resync)_idx$", node.get("Index Name", ""))
        )
    ]


async def test_an_index_serves_every_query(connection: asyncpg.Connection) -> None:
    # Sequential scans cost as much as on a table that is larger than memory.
    await connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
    found = []
    for name in sorted(QUERIES):
        statement = await connection.prepare(QUERIES[name])
        types = [parameter.name for parameter in statement.get_parameters()]
        nulls = ", ".join(f"NULL::{kind}" for kind in types)
        await connection.execute(f"PREPARE {name} ({', '.join(types)}) AS {QUERIES[name]}")
        text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {name} ({nulls})")
        [explained] = json.loads(text)
        found += unserved(name, explained["Plan"])
    assert found == []


@pytest.mark.parametrize("analysed", [False, True])
async def test_indexes_serve_many_rows_with_outdated_statistics(
    database: DatabaseFactory, analysed: bool, silent_availability: "SilentAvailability"
) -> None:
    async with open_bookings(await database("booking"), silent_availability) as (_, pool):
        for name in MANY_ROWS:
            if analysed:  # statistics as at the start of a sale: empty tables
                await pool.execute("ANALYZE")
            text = await pool.fetchval(f"EXPLAIN (FORMAT JSON) {with_many_values(QUERIES[name])}")
            assert unserved(name, json.loads(text)[0]["Plan"]) == []


def with_many_values(query: str) -> str:
    """Write the values of 256 commands into a statement."""
    values: dict[str, Callable[[int], object]] = {
        "uuid[]": lambda number: UUID(int=number),
        "text[]": str,
        "int[]": int,
    }
    for kind, value in values.items():
        array = ",".join(str(value(number)) for number in range(256))
        query = re.sub(rf"\$\d+::{re.escape(kind)}", f"'{{{array}}}'::{kind}", query)
    bookings = [{"id": str(UUID(int=n)), "event_id": str(UUID(int=1))} for n in range(256)]
    adjustments = [
        {"event_id": str(UUID(int=n)), "ticket_type_id": str(UUID(int=n))} for n in range(256)
    ]
    argument = json.dumps({"bookings": bookings, "inventory": adjustments})
    query = query.replace("$1::jsonb", f"'{argument}'::jsonb").replace("$2", f"'{UUID(int=1)}'")
    return query.replace("$3", "1").replace("$1", f"'{UUID(int=1)}'")


async def test_the_index_test_can_fail(connection: asyncpg.Connection) -> None:
    await connection.execute("SET enable_seqscan = off")
    for query in (
        "SELECT * FROM booking.bookings WHERE buyer_name = 'x'",
        "SELECT count(*) FROM booking.tickets",
    ):
        text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}")
        assert unserved("bad", json.loads(text)[0]["Plan"])
