"""Takes a safeguard away from a running system, and puts it back.

No switch for that exists in the services: it is done to the database, or by running
another program in a process's place.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from goticket_testing.chaos.stack import ChaosStack

NEVER_OVERSOLD = "inventory_never_oversold"

FORGET = """
CREATE FUNCTION public.forget() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format('DELETE FROM %I.%I WHERE %3$I = ($1).%3$I',
                   TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]) USING new;
    RETURN NULL;
END $$
"""


@asynccontextmanager
async def superuser(stack: ChaosStack) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection that may do anything."""
    connection = await asyncpg.connect(stack.superuser_url(), timeout=20)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def without_check(stack: ChaosStack) -> AsyncIterator[None]:
    """Take the constraint off the stock; what was oversold then gets the capacity it has taken."""
    async with superuser(stack) as connection:
        rule = await connection.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1",
            NEVER_OVERSOLD,
        )
        await connection.execute(f"ALTER TABLE booking.inventory DROP CONSTRAINT {NEVER_OVERSOLD}")
        try:
            yield
        finally:
            async with connection.transaction():
                await connection.execute("LOCK TABLE booking.inventory")
                await connection.execute(
                    "UPDATE booking.inventory SET capacity = sold + held"
                    " WHERE sold + held > capacity"
                )
                await connection.execute(
                    f"ALTER TABLE booking.inventory ADD CONSTRAINT {NEVER_OVERSOLD} {rule}"
                )


@asynccontextmanager
async def forgetful(stack: ChaosStack, **keys: str) -> AsyncIterator[None]:
    """Let tables forget every new row as soon as its transaction commits.

    `keys` names a column that identifies a row by table, written `schema__table`.
    """
    tables = {name.replace("__", "."): column for name, column in keys.items()}
    async with superuser(stack) as connection:
        await connection.execute(FORGET)
        try:
            for table, column in tables.items():
                await connection.execute(
                    f"CREATE CONSTRAINT TRIGGER forget AFTER INSERT ON {table} DEFERRABLE"
                    f" INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.forget('{column}')"
                )
            yield
        finally:
            # One statement each: whoever locks two of the tables at once can deadlock with users.
            for table in tables:
                await connection.execute(f"DROP TRIGGER IF EXISTS forget ON {table}")
            await connection.execute("DROP FUNCTION public.forget")


@contextmanager
def replaced(stack: ChaosStack, program: Path, *names: str) -> Iterator[None]:
    """Let processes run another program, with the same settings and arguments."""
    processes = [stack.process(name) for name in names]
    own = [process.argv for process in processes]
    try:
        for process in processes:
            process.kill()
            process.argv = [sys.executable, str(program), *process.argv[1:]]
        stack.start(*names)
        yield
    finally:
        for process, argv in zip(processes, own, strict=True):
            process.kill()
            process.argv = argv
        stack.heal()
