"""Stores many bookings or events in bulk, as copies of one that the services stored."""

from collections.abc import Mapping

from goticket_load.reconciliation import STORED_PREFIX
from goticket_load.system_under_test import SystemUnderTest

BUYERS = 200_000

Copies = Mapping[str, tuple[str, Mapping[str, str]]]
"""By table: the column that selects the rows to copy, and the SQL of the changed columns."""


def add_bookings(system: SystemUnderTest, event: str, count: int) -> None:
    """Store `count` confirmed bookings of one ticket for an event with at least one booking.

    The tables are vacuumed and a checkpoint is made, as they would be long after such sales.
    """
    template = system.sql(
        f"SELECT id FROM booking.bookings WHERE event_id = '{event}' "  # noqa: S608 - our own id
        "AND status = 'confirmed' LIMIT 1"
    )
    booking, buyer = _id("b"), _id("a", f"n % {BUYERS}")
    copies: Copies = {
        "booking.bookings": ("id", {"id": booking, "user_id": buyer}),
        "booking.booking_items": ("booking_id", {"booking_id": booking}),
        "booking.tickets": (
            "booking_id",
            {"id": _id("c"), "booking_id": booking, "user_id": buyer},
        ),
        "booking.idempotency_keys": (
            "booking_id",
            {"user_id": buyer, "key": "'stored-' || n", "booking_id": booking},
        ),
    }
    _copy(system, copies, template, count)
    system.sql(
        f"UPDATE booking.inventory SET sold = sold + {count} "  # noqa: S608 - our own id
        f"WHERE event_id = '{event}'"
    )
    _settle(system, copies)


def add_events(system: SystemUnderTest, event: str, count: int) -> list[str]:
    """Store `count` published events like `event` in catalog and booking; returns their ids."""
    copy, ticket_type = _id("e"), _id("d", "n * 64 + t.position")
    copies: Copies = {
        "catalog.events": ("id", {"id": copy, "name": "t.name || ' ' || n"}),
        "catalog.ticket_types": ("event_id", {"id": ticket_type, "event_id": copy}),
        "booking.events": ("event_id", {"event_id": copy, "name": "t.name || ' ' || n"}),
        "booking.inventory": (
            "event_id",
            {"event_id": copy, "ticket_type_id": ticket_type, "sold": "0", "held": "0"},
        ),
    }
    _copy(system, copies, event, count)
    _settle(system, copies)
    return [f"{STORED_PREFIX}e{number:011x}" for number in range(1, count + 1)]


def _copy(system: SystemUnderTest, copies: Copies, template: str, count: int) -> None:
    statements = ["SET session_replication_role = replica;"]  # skips foreign keys
    for table, (selector, changes) in copies.items():
        columns = _columns(system, table)
        values = ", ".join(changes.get(name, f"t.{name}") for name in columns)
        statements.append(
            f"INSERT INTO {table} ({', '.join(columns)}) "  # noqa: S608 - our own names
            f"SELECT {values} FROM {table} AS t, generate_series(1, {count}) AS n "
            f"WHERE t.{selector} = '{template}';"
        )
    system.sql("\n".join(statements))


def _settle(system: SystemUnderTest, copies: Copies) -> None:
    # Otherwise autovacuum would begin within a minute and share the cores with a measurement.
    system.sql(f"VACUUM (ANALYZE) {', '.join(copies)}")
    system.sql("CHECKPOINT")


def _id(kind: str, number: str = "n") -> str:
    """Return SQL of an id that grows with its number, as UUIDv7 does."""
    return f"('{STORED_PREFIX}{kind}' || lpad(to_hex({number}), 11, '0'))::uuid"


def _columns(system: SystemUnderTest, table: str) -> list[str]:
    schema, _, name = table.partition(".")
    return system.sql(
        "SELECT column_name FROM information_schema.columns "  # noqa: S608 - our own names
        f"WHERE table_schema = '{schema}' AND table_name = '{name}' "
        "AND is_generated = 'NEVER' ORDER BY ordinal_position"
    ).splitlines()
