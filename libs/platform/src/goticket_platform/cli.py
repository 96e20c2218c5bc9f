"""The command line of a service, built from a table of its processes and commands."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

from goticket_contracts.topology import TOPOLOGY, QueueSpec, Topology
from goticket_kernel.time_zones import TIME_ZONE_DATA

from goticket_platform.lifecycle import Stop, run
from goticket_platform.logs import configure_logging, get_logger
from goticket_platform.messaging.dead_letters import (
    LIST_LIMIT,
    list_dead_letters,
    replay_dead_letters,
)
from goticket_platform.migrations import (
    MigrationError,
    migrate_down,
    migrate_up,
    migration_status,
)
from goticket_platform.postgres import is_transient
from goticket_platform.settings import ServiceSettings, load
from goticket_platform.telemetry import configure_tracing

FAILED = 1

logger = get_logger(__name__)

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Process(Generic[SettingsT]):
    """A long-running command: the settings that it reads and the function that it runs."""

    settings: type[SettingsT]
    run: Callable[[SettingsT, Stop], Awaitable[None]]


@dataclass(frozen=True)
class Report(Generic[SettingsT]):
    """A command that prints lines and ends: its settings and the function that returns them."""

    settings: type[SettingsT]
    lines: Callable[[SettingsT], Awaitable[Sequence[str]]]


@dataclass(frozen=True)
class Migrations:
    """The `migrate` command: the migrations package and where to read the database's URL."""

    package: str
    database_url: Callable[[], str]


@dataclass(frozen=True)
class DeadLetters:
    """The `dead-letters` command: the consumer's queue and where to read the broker's URL."""

    queue: QueueSpec
    amqp_url: Callable[[], str]


@dataclass(frozen=True)
class Replayable:
    """A command with the actions `list` and `replay` for work that failed finally.

    `list` returns up to a number of entries, oldest first. `replay` repeats up to a number (None:
    all) and returns how many.
    """

    list: Callable[[int], Awaitable[Sequence[Mapping[str, object]]]]
    replay: Callable[[int | None], Awaitable[int]]


@dataclass(frozen=True)
class CommandLine:
    """The commands of one service. Its name is also the program's name and names its logs."""

    service: str
    processes: Mapping[str, Process[Any]]
    reports: Mapping[str, Report[Any]] = field(default_factory=dict)
    migrations: Migrations | None = None
    dead_letters: DeadLetters | None = None
    replayables: Mapping[str, Replayable] = field(default_factory=dict)


def execute(line: CommandLine, argv: Sequence[str] | None = None) -> None:
    """Run the command that `argv` (default: the process's arguments) names.

    Raises:
        SystemExit: with 2 after a usage error, with the exit code of a command that ends.
        SettingsError: naming the settings that are missing or invalid.
    """
    arguments = _parser(line).parse_args(argv)
    match arguments.command:
        case "migrate" if line.migrations:
            action, steps = arguments.action, getattr(arguments, "steps", 1)
            dsn = line.migrations.database_url()
            sys.exit(migrate_command(action, steps, dsn, line.migrations.package))
        case "dead-letters" if line.dead_letters:
            action, limit = arguments.action, arguments.limit
            amqp_url = line.dead_letters.amqp_url()
            sys.exit(dead_letters_command(action, limit, amqp_url, line.dead_letters.queue))
        case name if report := line.reports.get(name):
            sys.exit(report_command(report))
        case name if name in line.replayables:
            replayable = line.replayables[name]
            sys.exit(replayable_command(arguments.action, arguments.limit, replayable))
        case name:
            _run_process(line.service, name, line.processes[name])


def report_command(report: Report[Any]) -> int:
    """Print the report's lines and return the exit code.

    When the database is unavailable, the code is 1 and one line on stderr has the reason.
    """

    async def read() -> Sequence[str]:
        return await report.lines(load(report.settings))

    try:
        sys.stdout.writelines(f"{line}\n" for line in asyncio.run(read()))
    except Exception as error:
        if not is_transient(error):
            raise
        sys.stderr.write(f"{' '.join(str(error).split()) or type(error).__name__}\n")
        return FAILED
    return 0


def migrate_command(action: str, steps: int, dsn: str, package: str) -> int:
    """Run `migrate up`, `down` or `status`, print the result and return the exit code.

    When the database is unavailable or locked, the code is 1 and one line on stderr has the
    reason. An error in a migration itself is raised, since only its traceback explains it.
    """
    try:
        sys.stdout.writelines(f"{row}\n" for row in _migrate(action, steps, dsn, package))
    except Exception as error:
        if not isinstance(error, MigrationError) and not is_transient(error):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        sys.stderr.write(f"migrate: {reason}\n")
        return FAILED
    return 0


def dead_letters_command(
    action: str,
    limit: int | None,
    amqp_url: str,
    queue: QueueSpec,
    *,
    topology: Topology = TOPOLOGY,
) -> int:
    """Run `dead-letters list` or `replay` and return the exit code.

    `list` prints one JSON object per line, LIST_LIMIT at most when `limit` is None. `replay`
    sends all dead letters again when `limit` is None.
    """

    async def list_entries(limit: int) -> Sequence[Mapping[str, object]]:
        found = await list_dead_letters(amqp_url, queue, limit, topology=topology)
        return [asdict(dead_letter) for dead_letter in found]

    async def replay(limit: int | None) -> int:
        return await replay_dead_letters(amqp_url, queue, limit, topology=topology)

    return replayable_command(action, limit, Replayable(list_entries, replay))


def replayable_command(action: str, limit: int | None, replayable: Replayable) -> int:
    """Run `list` or `replay`, print JSON lines or the number, and return the exit code."""
    if action == "list":
        shown = LIST_LIMIT if limit is None else limit
        found = asyncio.run(_awaited(replayable.list(shown)))
        sys.stdout.writelines(f"{json.dumps(entry, default=str)}\n" for entry in found)
    else:
        replayed = asyncio.run(_awaited(replayable.replay(limit)))
        sys.stdout.write(f"replayed {replayed}\n")
    return 0


async def _awaited(result: Awaitable[ResultT]) -> ResultT:
    return await result


def _migrate(action: str, steps: int, dsn: str, package: str) -> list[str]:
    match action:
        case "up":
            labels = asyncio.run(migrate_up(dsn, package))
            return [f"applied  {label}" for label in labels or ["nothing"]]
        case "down":
            labels = asyncio.run(migrate_down(dsn, package, steps))
            return [f"reverted  {label}" for label in labels or ["nothing"]]
        case _:
            status = asyncio.run(migration_status(dsn, package))
            return [f"{'applied' if applied else 'pending'}  {label}" for label, applied in status]


def _run_process(service: str, name: str, process: Process[Any]) -> None:
    settings = load(process.settings)
    configure_logging(service, settings.log_level)
    configure_tracing(service, settings.otlp_endpoint, settings.trace_sample_ratio)
    logger.info("starting", process=name, time_zone_data=TIME_ZONE_DATA)

    async def main(stop: Stop) -> None:
        await process.run(settings, stop)

    run(main)


def _parser(line: CommandLine) -> argparse.ArgumentParser:
    usage = _usage(line)
    parser = argparse.ArgumentParser(prog=line.service, usage=usage, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in (*line.processes, *line.reports):
        commands.add_parser(name, usage=usage)
    if line.migrations:
        migrate = commands.add_parser("migrate", usage=usage)
        actions = migrate.add_subparsers(dest="action", required=True)
        actions.add_parser("up", usage=usage)
        down = actions.add_parser("down", usage=usage)
        down.add_argument("steps", nargs="?", type=_count, default=1)
        actions.add_parser("status", usage=usage)
    for name in _replayable_names(line):
        replayable = commands.add_parser(name, usage=usage, allow_abbrev=False)
        replayable.add_argument("action", choices=["list", "replay"])
        replayable.add_argument("--limit", type=_count)
    return parser


def _usage(line: CommandLine) -> str:
    commands = [*line.processes, *line.reports]
    if line.migrations:
        commands += ["migrate up", "migrate down [STEPS]", "migrate status"]
    for name in _replayable_names(line):
        commands += [f"{name} list [--limit N]", f"{name} replay [--limit N]"]
    return f"{line.service} {' | '.join(commands)}"


def _replayable_names(line: CommandLine) -> list[str]:
    return [*(["dead-letters"] if line.dead_letters else []), *line.replayables]


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)
