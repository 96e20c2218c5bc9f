"""The lock of a schema's migrations has a time limit, and its holder is named."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from goticket_platform.migrations import MigrationError, migrate_down, migrate_up, migration_status
from goticket_platform.migrations.lock import locked

if TYPE_CHECKING:
    from libs.platform.tests.migrations.conftest import MigrationsPackage


async def test_a_process_that_waits_too_long_names_the_holder_of_the_lock(
    dsn: str, package: "MigrationsPackage"
) -> None:
    package.add(1, "one")
    async with locked(dsn, package.schema, wait_seconds=1) as holder:
        for command in (migrate_up, migrate_down):
            with pytest.raises(MigrationError) as caught:
                await command(dsn, package.name, wait_seconds=0.3)
            message = str(caught.value)
            assert f"schema {package.schema} is being migrated by" in message
            assert f"pid {holder.get_server_pid()} ({package.schema} migrate)" in message
            assert " from 127.0.0.1, " in message
            assert f"since {datetime.now(UTC):%Y-%m-%dT}" in message
            assert message.endswith("gave up after 0.3 s")
        assert await migration_status(dsn, package.name) == [("0001_one", False)]
    assert await migrate_up(dsn, package.name, wait_seconds=0) == ["0001_one"]


async def test_the_lock_of_one_schema_does_not_delay_another(
    dsn: str, packages: "list[MigrationsPackage]"
) -> None:
    first, second = packages
    second.add(1, "one")
    async with locked(dsn, first.schema, wait_seconds=1):
        assert await migrate_up(dsn, second.name, wait_seconds=0) == ["0001_one"]
