"""Finds the programs of the servers, and the packages of missing ones."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

# Debian packages by a program that each contains.
PACKAGES = {
    "postgres": "postgresql",
    "redis-server": "redis-server",
    "rabbitmq-server": "rabbitmq-server",
}


class ProgramMissing(Exception):
    """A program that a server needs is not installed."""


def find(name: str) -> Path:
    """The program's path. Raises `ProgramMissing`."""
    for folder in _folders(name):
        candidate = folder / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise ProgramMissing(f"{name} is not installed")


def missing_packages() -> list[str]:
    """The Debian packages whose program is not installed."""
    return [package for program, package in PACKAGES.items() if not _present(program)]


def versions() -> list[str]:
    """The installed servers with their versions."""
    found = [f"PostgreSQL {_version('postgres')}", f"Redis {_version('redis-server')}"]
    # `rabbitmqctl version` starts an Erlang VM; the folder name has the version too.
    folder = re.search(r"rabbitmq_server-([\d.]+)", str(find("rabbitmq-server").resolve()))
    return [*found, f"RabbitMQ {folder[1]}" if folder else "RabbitMQ"]


def _version(program: str) -> str:
    done = subprocess.run(
        [str(find(program)), "--version"], capture_output=True, text=True, check=False
    )
    number = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)
    return number[0] if number else ""


def _present(program: str) -> bool:
    try:
        find(program)
    except ProgramMissing:
        return False
    return True


def _folders(name: str) -> Iterable[Path]:
    # Debian's rabbitmq wrappers in PATH change the account; the original scripts do not.
    yield Path("/usr/lib/rabbitmq/bin")
    # Newest PostgreSQL first, so that initdb and postgres have the same version.
    versions = Path("/usr/lib/postgresql")
    if versions.is_dir():
        numbered = [path for path in versions.iterdir() if path.name.isdigit()]
        for version in sorted(numbered, key=lambda path: int(path.name), reverse=True):
            yield version / "bin"
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found:
        yield Path(found).parent
