"""The command `goticket-local`: the whole system on this machine."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from goticket_local.exclusive import CheckoutBusy
from goticket_local.local import LocalSystem, PortsBusy
from goticket_local.manifest import CHECKOUT, ManifestError
from goticket_local.process import StartFailed
from goticket_local.quickstart import quickstart
from goticket_local.stack.accounts import UnexpectedResponse
from goticket_local.system import CannotInstall

FAILURES = (
    CheckoutBusy,
    PortsBusy,
    CannotInstall,
    ManifestError,
    StartFailed,
    UnexpectedResponse,
    subprocess.CalledProcessError,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one of the verbs. A failure is printed, and the exit status is 1."""
    arguments = _parser().parse_args(argv)
    local = LocalSystem(CHECKOUT, lambda text: print(text, flush=True))
    try:
        match arguments.verb:
            case "up":
                local.up()
                print(quickstart(local))
            case "down":
                local.down()
            case "reset":
                local.reset()
            case "status":
                sys.exit(_status(local))
            case "logs":
                _logs(local, arguments.name, follow=arguments.follow)
    except FAILURES as error:
        print(_reason(error), file=sys.stderr)
        if any(process.alive for process in local.processes()):
            print(
                "\nThe other processes still run: make logs shows them, make down stops them.",
                file=sys.stderr,
            )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="goticket-local", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="start everything and print how to use it")
    verbs.add_parser("down", help="stop everything; data stays")
    verbs.add_parser("reset", help="stop everything and delete its data")
    verbs.add_parser("status", help="list the processes")
    logs = verbs.add_parser("logs", help="show the logs of the processes")
    logs.add_argument("name", nargs="?", default="", help='such as booking, or "booking relay"')
    logs.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    return parser


def _status(local: LocalSystem) -> int:
    processes = local.processes()
    for process in processes:
        pid = process.pid
        print(f"{process.name:24} {f'running, pid {pid}' if pid else 'not running'}")
    if not processes:
        print("Nothing runs.")
    return 0 if processes and all(process.alive for process in processes) else 3


def _logs(local: LocalSystem, name: str, *, follow: bool) -> NoReturn:
    prefix = name.replace(" ", "-")
    files = sorted(str(file) for file in local.log_dir.glob(f"{prefix}*.log"))
    if not files:
        print(f"{local.log_dir} has no log{f' of {name}' if name else ''}.", file=sys.stderr)
        sys.exit(1)
    tail = ["tail", "-n", "40", *(["-F"] if follow else []), "--", *files]
    sys.stdout.flush()
    os.execvp(tail[0], tail)  # noqa: S606 - tail replaces this process and receives the keyboard's interrupt


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{error.cmd[0]} failed:\n{error.stderr}"
    return str(error)
