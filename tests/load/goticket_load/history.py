"""Bookings of long ago: stored in bulk, as the service would have stored them."""

from collections.abc import Mapping

from goticket_load.ledger import HISTORY
from goticket_load.machine import Machine

BUYERS = 200_000


def add_history(machine: Machine, event: str, count: int) -> None:
    """Store `count` confirmed bookings of one ticket for an event that has one booking at least.

    Each is a copy of that booking with ids of its own, whatever columns there are.
    """
    template = machine.sql(
        f"SELECT id FROM booking.bookings WHERE event_id = '{event}' "  # noqa: S608 - our own id
        "AND status = 'confirmed' LIMIT 1"
    )
    own, buyer = _uuid("b"), _uuid("a", f"n % {BUYERS}")
    copies: dict[str, tuple[str, Mapping[str, str]]] = {
        "bookings": ("id", {"id": own, "user_id": buyer}),
        "booking_items": ("booking_id", {"booking_id": own}),
        "tickets": ("booking_id", {"id": _uuid("c"), "booking_id": own, "user_id": buyer}),
        "idempotency_keys": (
            "booking_id",
            {"user_id": buyer, "key": "'history-' || n", "booking_id": own},
        ),
    }
    statements = ["SET session_replication_role = replica;"]  # no foreign key is checked
    for table, (owner, new) in copies.items():
        columns = _columns(machine, table)
        values = ", ".join(new.get(name, f"t.{name}") for name in columns)
        statements.append(
            f"INSERT INTO booking.{table} ({', '.join(columns)}) "  # noqa: S608 - our own names
            f"SELECT {values} FROM booking.{table} AS t, generate_series(1, {count}) AS n "
            f"WHERE t.event_id = '{event}' AND t.{owner} = '{template}';"
        )
    statements.append(
        f"UPDATE booking.inventory SET sold = sold + {count} "  # noqa: S608 - our own id
        f"WHERE event_id = '{event}';"
    )
    machine.sql("\n".join(statements))
    machine.sql(f"ANALYZE {', '.join(f'booking.{table}' for table in copies)}")
    machine.sql("CHECKPOINT")


def _uuid(kind: str, number: str = "n") -> str:
    """SQL of an id that grows with its number; bookings begin as HISTORY says."""
    return f"('{HISTORY}{kind}' || lpad(to_hex({number}), 11, '0'))::uuid"


def _columns(machine: Machine, table: str) -> list[str]:
    return machine.sql(
        "SELECT column_name FROM information_schema.columns "  # noqa: S608 - our own name
        f"WHERE table_schema = 'booking' AND table_name = '{table}' "
        "AND is_generated = 'NEVER' ORDER BY ordinal_position"
    ).splitlines()
