"""Disables a safeguard of a running system and restores it.

The services have no switch for that. A safeguard is disabled in the database, or by running
another program instead of a process.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from goticket_testing.chaos.stack import ChaosStack

NEVER_OVERSOLD = "inventory_never_oversold"

DELETE_NEW_ROW = """
CREATE FUNCTION public.delete_new_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format('DELETE FROM %I.%I WHERE %3$I = ($1).%3$I',
                   TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]) USING new;
    RETURN NULL;
END $$
"""


FORGET_DELIVERY = """
CREATE FUNCTION public.forget_delivery() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    DELETE FROM notification.deliveries WHERE message_id = new.message_id AND status = 'sent';
    RETURN new;
END $$
"""


@asynccontextmanager
async def superuser(stack: ChaosStack) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection as superuser."""
    connection = await asyncpg.connect(stack.superuser_url(), timeout=20)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def without_check(stack: ChaosStack) -> AsyncIterator[None]:
    """Drop the CHECK of the inventory; before it returns, oversold rows get a larger capacity."""
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
async def deleting_new_rows(stack: ChaosStack, **keys: str) -> AsyncIterator[None]:
    """Delete every new row of some tables when its transaction commits.

    `keys` maps a table, written `schema__table`, to the column that identifies a row.
    """
    tables = {name.replace("__", "."): column for name, column in keys.items()}
    async with superuser(stack) as connection:
        await connection.execute(DELETE_NEW_ROW)
        try:
            for table, column in tables.items():
                await connection.execute(
                    f"CREATE CONSTRAINT TRIGGER delete_new_row AFTER INSERT ON {table}"
                    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
                    f" EXECUTE FUNCTION public.delete_new_row('{column}')"
                )
            yield
        finally:
            # One statement per table: a lock on two tables at once can deadlock with the services.
            for table in tables:
                await connection.execute(f"DROP TRIGGER IF EXISTS delete_new_row ON {table}")
            await connection.execute("DROP FUNCTION public.delete_new_row")


@asynccontextmanager
async def forgetting_deliveries(stack: ChaosStack) -> AsyncIterator[None]:
    """Delete the sent delivery of a message when the message is delivered again."""
    async with superuser(stack) as connection:
        await connection.execute(FORGET_DELIVERY)
        try:
            await connection.execute(
                "CREATE TRIGGER forget_delivery BEFORE INSERT ON notification.deliveries"
                " FOR EACH ROW EXECUTE FUNCTION public.forget_delivery()"
            )
            yield
        finally:
            await connection.execute(
                "DROP TRIGGER IF EXISTS forget_delivery ON notification.deliveries"
            )
            await connection.execute("DROP FUNCTION public.forget_delivery")


@contextmanager
def replaced(stack: ChaosStack, program: Path, *names: str) -> Iterator[None]:
    """Run another program instead of some processes, with their settings and arguments."""
    processes = [stack.process(name) for name in names]
    original = [process.argv for process in processes]
    try:
        for process in processes:
            process.kill()
            process.argv = [sys.executable, str(program), *process.argv[1:]]
        stack.start(*names)
        yield
    finally:
        for process, argv in zip(processes, original, strict=True):
            process.kill()
            process.argv = argv
        stack.heal()
