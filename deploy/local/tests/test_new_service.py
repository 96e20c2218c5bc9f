"""A service made by `make new-service` in a copy of the checkout: lint, types, tests, start."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from goticket_local.manifest import CHECKOUT, databases, load_services
from goticket_local.stack.bootstrap import bootstrap_script
from goticket_local.workspace.new_service import InvalidName, create_service
from goticket_testing.databases import Postgres

NAME = "waitlist"
DATABASE = "new_service"
SCRIPTS = Path(sys.executable).parent
# Runs in the copy's environment, as `make up` does: migrations of every service, then the process.
START = f"""
import json, sys
from pathlib import Path
from goticket_local.manifest import broker_users, load_services
from goticket_local.stack.config import StackConfig
from goticket_local.stack.ports import Ports
from goticket_local.stack.secrets import Secrets
from goticket_local.stack.stack import Stack
folder = Path(sys.argv[1])
config = StackConfig(
    ports=Ports.free(),
    database_urls=json.loads(sys.argv[2]),
    redis_url="redis://127.0.0.1:1",
    amqp_urls=dict.fromkeys(broker_users(load_services()), "amqp://127.0.0.1:1"),
    secrets=Secrets.generate().services,
)
stack = Stack(config, run_dir=folder / "run", log_dir=folder / "logs")
stack.migrate()
try:
    stack.start("{NAME} serve")
    print("ready", stack.ready("{NAME} serve"), flush=True)
finally:
    print("exit", stack.stop("{NAME} serve"))
    stack.mailbox.stop()
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with the new service."""
    folder = tmp_path_factory.mktemp("copy") / "goticket"
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], CHECKOUT)
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name)
    create_service(folder, NAME)
    return folder


@pytest.fixture(scope="module")
def copy_python(copy: Path) -> Path:
    """Python of an environment with the copy's packages and this one's third-party packages."""
    environment = copy / ".venv"
    venv.create(environment, with_pip=False)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    (site_packages / "third_party.pth").write_text(sysconfig.get_path("purelib"))
    packages = sorted(
        path.parent
        for pattern in ("libs/*", "services/*", "deploy/local", "tests/support")
        for path in copy.glob(f"{pattern}/pyproject.toml")
    )
    python = environment / "bin" / "python"
    editable = [part for package in packages for part in ("-e", str(package))]
    install = ["pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    run([SCRIPTS / "uv", *install, "--python", python, *editable], copy)
    return python


def run(command: list[str | Path], folder: Path, **variables: str) -> str:
    """Run a command; returns its output. Fails with everything that it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, f"{command[0]}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", ["Upper", "with-dash", "x", "booking", "../up"])
def test_an_unusable_name_is_rejected(copy: Path, name: str) -> None:
    with pytest.raises(InvalidName):
        create_service(copy, name)


def test_a_new_service_gets_ports_that_no_other_service_has(copy: Path) -> None:
    ports = [
        port
        for service in load_services(copy)
        for process in service.processes.values()
        for port in process.ports.values()
    ]
    assert len(set(ports)) == len(ports)


@pytest.mark.timeout(600)
def test_a_new_service_passes_the_checks_of_style_and_imports(
    copy: Path, copy_python: Path
) -> None:
    run([SCRIPTS / "ruff", "check", f"services/{NAME}"], copy)
    run([SCRIPTS / "ruff", "format", "--check", f"services/{NAME}"], copy)
    lint_imports = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    run([copy_python, "-c", lint_imports], copy)


@pytest.mark.timeout(600)
def test_a_new_service_passes_the_type_check(copy: Path) -> None:
    run([SCRIPTS / "mypy", f"services/{NAME}"], copy)


@pytest.mark.timeout(600)
def test_the_test_of_a_new_service_passes(copy: Path, copy_python: Path) -> None:
    command: list[str | Path] = [
        copy_python,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"services/{NAME}",
    ]
    assert "1 passed" in run(command, copy)


@pytest.mark.timeout(600)
def test_a_new_service_starts_with_the_local_stack(
    copy: Path, copy_python: Path, postgres_server: Postgres, tmp_path: Path
) -> None:
    services = load_services(copy)
    owned = databases(services)
    # The session's passwords: other tests of this worker use the same roles.
    passwords = {NAME: "password-of-the-new-role", **postgres_server.passwords}
    server = postgres_server.server
    server.create_database(DATABASE)
    server.run_sql(DATABASE, bootstrap_script(services, passwords))
    urls = {
        name: server.dsn(database.role, passwords[name], DATABASE)
        for name, database in owned.items()
    }
    output = run([copy_python, "-c", START, tmp_path, json.dumps(urls)], copy)
    assert output.split() == ["ready", "True", "exit", "0"]
