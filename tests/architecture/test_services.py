"""Each service.toml agrees with the service's code and with the local stack."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import asyncpg
import pytest
from goticket_local.manifest import (
    SERVERS,
    ProcessManifest,
    Service,
    broker_users,
    databases,
    load_services,
)
from goticket_local.servers.base import minimal_environment
from goticket_local.stack.config import StackConfig, process_configs
from goticket_local.stack.ports import Ports
from goticket_local.stack.secrets import Secrets
from goticket_local.workspace.contracts import import_contracts, mypy_path
from goticket_local.workspace.settings_reference import process_rows
from goticket_testing.databases import DatabaseFactory

ROOT = Path(__file__).parents[2]
SERVICES = load_services(ROOT)
PROCESSES = [
    pytest.param(service, process, id=process.command)
    for service in SERVICES
    for process in service.processes.values()
]


def test_every_service_folder_has_a_service_toml() -> None:
    folders = {path.parent.name for path in ROOT.glob("services/*/pyproject.toml")}
    assert {service.name for service in SERVICES} == folders


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_setting_of_a_service_is_used_by_a_process(service: Service) -> None:
    used = {setting.name for each in service.processes.values() for setting in each.settings}
    assert used == set(service.settings)


@pytest.mark.parametrize(("service", "process"), PROCESSES)
def test_the_command_of_a_process_is_a_console_script_of_its_service(
    service: Service, process: ProcessManifest
) -> None:
    project = tomllib.loads((service.folder / "pyproject.toml").read_text())["project"]
    program, command = process.command.split()
    assert program in project["scripts"]
    assert command == process.name


@pytest.mark.parametrize(("service", "process"), PROCESSES)
def test_a_process_without_settings_names_each_required_one(
    service: Service, process: ProcessManifest
) -> None:
    program, command = process.command.split()
    done = subprocess.run(
        [Path(sys.executable).with_name(program), command],
        env=minimal_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    missing = {
        line.split(":")[0].strip() for line in done.stderr.splitlines() if "is not set" in line
    }
    assert missing == {setting.name for setting in process.settings if setting.required}


@pytest.mark.parametrize(("service", "process"), PROCESSES)
def test_a_process_lists_its_required_and_secret_settings_as_its_class_declares_them(
    service: Service, process: ProcessManifest
) -> None:
    known = process_rows(process)
    listed = {setting.name: setting for setting in process.settings}
    assert listed.keys() <= known.keys()
    declared = {name: (row.required, row.secret) for name, row in known.items()}
    assert {name: (each.required, each.secret) for name, each in listed.items()} == {
        name: flags for name, flags in declared.items() if name in listed
    }
    unlisted = {name for name, flags in declared.items() if any(flags)} - listed.keys()
    assert unlisted == set()


@pytest.mark.parametrize(("service", "process"), PROCESSES)
def test_a_process_needs_what_its_settings_refer_to(
    service: Service, process: ProcessManifest
) -> None:
    references = [name for setting in process.settings for name in setting.references]
    servers = {name.partition(".")[0] for name in references} & SERVERS
    called = {name.partition(".")[0] for name in references if name.endswith(".grpc")}
    assert servers | called - {service.name} == set(process.needs)


def test_the_local_stack_provides_every_required_setting() -> None:
    config = StackConfig(
        ports=Ports.default(SERVICES),
        database_urls={name: f"postgresql://{name}" for name in databases(SERVICES)},
        redis_url="redis://redis",
        amqp_urls={name: f"amqp://{name}" for name in broker_users(SERVICES)},
        secrets=Secrets.generate(SERVICES).services,
    )
    environments = {each.command: each.environment for each in process_configs(config, SERVICES)}
    missing = [
        setting.name
        for service in SERVICES
        for process in service.processes.values()
        for setting in process.settings
        if setting.required and not environments[process.command].get(setting.name)
    ]
    assert missing == []


def test_no_two_ports_of_the_local_stack_have_the_same_name_or_number() -> None:
    names = [
        process.port_name(purpose)
        for service in SERVICES
        for process in service.processes.values()
        for purpose in process.ports
    ]
    assert len(set(names)) == len(names)
    numbers = list(Ports.default(SERVICES).numbers.values())
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("name", databases(SERVICES))
async def test_a_schema_has_the_messaging_tables_of_its_service_toml(
    name: str, database: DatabaseFactory
) -> None:
    declared = databases(SERVICES)[name]
    connection = await asyncpg.connect(await database(name))
    try:
        rows = await connection.fetch(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = $1 AND tablename IN ('outbox', 'inbox')",
            declared.schema,
        )
    finally:
        await connection.close()
    assert {row["tablename"] for row in rows} == set(declared.messaging)


def test_the_import_contracts_are_generated_from_the_service_tomls() -> None:
    assert (ROOT / ".importlinter").read_text() == import_contracts(ROOT), "run `make contracts`"


def test_mypy_searches_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["mypy"]["mypy_path"] == mypy_path(ROOT), "run `make contracts`"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_package_can_be_imported(service: Service) -> None:
    assert importlib.import_module(service.name).__doc__
