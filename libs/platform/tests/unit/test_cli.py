"""The command line that is built from a service's table."""

import pytest
from goticket_contracts.topology import QueueSpec
from goticket_platform.cli import (
    CommandLine,
    DeadLetters,
    Migrations,
    Process,
    Replayable,
    execute,
)
from goticket_platform.lifecycle import Stop
from goticket_platform.settings import ServiceSettings, SettingsError, load


class ExampleSettings(ServiceSettings):
    """Settings with a required one."""

    database_url: str


class Unreachable(Exception):
    """A command ran although its arguments or settings were wrong."""


async def run_server(settings: ExampleSettings, stop: Stop) -> None:
    """Fail: no test runs the process."""
    raise Unreachable


def unreachable() -> str:
    """Fail."""
    raise Unreachable


async def list_things(limit: int) -> list[dict[str, object]]:
    """List up to three things."""
    return [{"id": number} for number in range(min(limit, 3))]


async def replay_things(limit: int | None) -> int:
    """Replay all three or fewer."""
    return 3 if limit is None else limit


COMMANDS = CommandLine(
    "example",
    processes={"serve": Process(ExampleSettings, run_server)},
    migrations=Migrations("example.migrations", lambda: load(ExampleSettings).database_url),
    dead_letters=DeadLetters(QueueSpec("example", ()), unreachable),
    replayables={"refused-things": Replayable(list_things, replay_things)},
)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["dance"],
        ["serve", "now"],
        ["migrate"],
        ["migrate", "sideways"],
        ["migrate", "down", "-1"],
        ["migrate", "up", "2"],
        ["dead-letters"],
        ["dead-letters", "list", "--limit", "few"],
    ],
)
def test_a_usage_error_ends_with_2_and_the_usage(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        execute(COMMANDS, argv)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("usage: example")


def test_the_usage_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        execute(COMMANDS, [])
    assert capsys.readouterr().err.splitlines()[0] == (
        "usage: example serve | migrate up | migrate down [STEPS] | migrate status"
        " | dead-letters list [--limit N] | dead-letters replay [--limit N]"
        " | refused-things list [--limit N] | refused-things replay [--limit N]"
    )


@pytest.mark.parametrize("argv", [["serve"], ["migrate", "up"]])
def test_a_missing_setting_is_named(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(SettingsError, match="DATABASE_URL: is not set"):
        execute(COMMANDS, argv)


def test_a_service_without_tables_has_no_migrate_command() -> None:
    line = CommandLine("example", processes=COMMANDS.processes)
    with pytest.raises(SystemExit) as end:
        execute(line, ["migrate", "up"])
    assert end.value.code == 2


@pytest.mark.parametrize(
    ("argv", "output"),
    [
        (["list", "--limit", "2"], '{"id": 0}\n{"id": 1}\n'),
        (["replay", "--limit", "2"], "replayed 2\n"),
        (["replay"], "replayed 3\n"),
    ],
)
def test_failed_work_is_listed_and_replayed(
    argv: list[str], output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        execute(COMMANDS, ["refused-things", *argv])
    assert end.value.code == 0
    assert capsys.readouterr().out == output
