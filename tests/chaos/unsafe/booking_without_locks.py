"""`booking`, but no statement of it locks a row.

What it reads of the stock arrives a little late, as it may: with locks that does no harm.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from goticket_platform import postgres

LOCK = re.compile(r"\bFOR (NO KEY )?UPDATE\b( OF \w+)?( SKIP LOCKED)?")
STOCK = re.compile(r"\bheld\b.*\b(FROM|JOIN) booking\.inventory\b", re.DOTALL)
LATE_SECONDS = 0.5
load = postgres.load_queries


def late(sql: str) -> str:
    """Let a plain read of the stock take its time; others stay as they are."""
    text = re.sub(r"^--.*\n", "", sql, flags=re.MULTILINE).strip()
    if not (text.startswith("SELECT") and STOCK.search(text)):
        return sql
    # The statement sees what was there when it began.
    return (
        f"WITH found AS MATERIALIZED ({text})"  # noqa: S608 - the text is booking's own
        f" SELECT found.* FROM found, pg_sleep({LATE_SECONDS})"
    )


def load_without_locks(package: str, name: str = "queries.sql") -> Mapping[str, str]:
    """Read the statements of a file; those of booking lose their locks."""
    found = load(package, name)
    if not package.startswith("booking."):
        return found
    unlocked = {key: late(LOCK.sub("", sql)) for key, sql in found.items()}
    if unlocked == dict(found):
        raise RuntimeError("booking locks no rows any more: this test has lost its object")
    return MappingProxyType(unlocked)


if __name__ == "__main__":
    postgres.load_queries = load_without_locks
    from booking.entrypoints.cli import main  # it binds `load_queries` when it is imported

    main()
