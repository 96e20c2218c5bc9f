"""Creates the folder of a new service from templates."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from goticket_local.manifest import Service, load_services
from goticket_local.stack.ports import SERVERS
from goticket_local.workspace.contracts import update_workspace

SUFFIX = ".tmpl"
FIRST_GRPC_PORT = 15051
FIRST_OPS_PORT = 19060


class InvalidName(Exception):
    """A service's name is not usable as package, schema and command, or is taken."""


def create_service(checkout: Path, name: str) -> list[Path]:
    """Create `services/<name>` and update the workspace's files; returns the new files.

    Raises:
        InvalidName: the name is not lower-case letters only, or the folder exists.
    """
    folder = checkout / "services" / name
    if not re.fullmatch(r"[a-z]{2,30}", name):
        raise InvalidName(f"{name!r}: use 2 to 30 lower-case letters")
    if folder.exists():
        raise InvalidName(f"{folder} exists")
    services = load_services(checkout)
    values = {
        "name": name,
        "PREFIX": name.upper(),
        "grpc_port": str(_free_default(services, FIRST_GRPC_PORT)),
        "ops_port": str(_free_default(services, FIRST_OPS_PORT)),
    }
    created = []
    for path, text in _templates(resources.files("goticket_local.workspace") / "templates"):
        parts = ["src", name, *path.parts[1:]] if path.parts[0] == "src" else path.parts
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(text).substitute(values))
        created.append(target)
    _sort_imports(folder)
    update_workspace(checkout)
    return created


def _sort_imports(folder: Path) -> None:
    """Sort the imports: their order depends on the name of the service."""
    ruff = Path(sys.executable).with_name("ruff")
    command: list[str | Path] = [ruff, "check", "--quiet", "--fix", "--select", "I", folder]
    subprocess.run(command, check=True)


def _free_default(services: tuple[Service, ...], first: int) -> int:
    """The lowest default port from `first` that no service and no server uses."""
    used = set(SERVERS.values())
    for service in services:
        for process in service.processes.values():
            used.update(process.ports.values())
    port = first
    while port in used:
        port += 1
    return port


def _templates(folder: Traversable, path: Path = Path()) -> Iterator[tuple[Path, str]]:
    """Each template's path without its suffix, and its text."""
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _templates(entry, path / entry.name)
        elif entry.name.endswith(SUFFIX):
            yield path / entry.name.removesuffix(SUFFIX), entry.read_text()
