"""Each service.toml agrees with the service's code and with the local stack."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import asyncpg
import pytest
from goticket_contracts.rpc_callers import callers_of
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
from goticket_platform.rpc.keys import public_key
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


def test_every_service_that_may_call_another_has_a_key_of_its_own() -> None:
    callers = {caller for service in SERVICES for caller in callers_of(service.name)}
    with_key = {service.name for service in SERVICES if "rpc_key" in service.secrets}
    assert with_key == callers
    kinds = {service.secrets["rpc_key"] for service in SERVICES if service.name in with_key}
    assert kinds == {"ed25519_seed"}


@pytest.mark.parametrize(("service", "process"), PROCESSES)
def test_a_process_has_the_keys_for_the_calls_that_it_makes_and_serves(
    service: Service, process: ProcessManifest
) -> None:
    listed = {setting.name.removeprefix(service.prefix): setting for setting in process.settings}
    calls = {name for name in listed if name.endswith("_TARGET")}
    assert ("RPC_KEY" in listed) == bool(calls)
    assert ("RPC_CALLER_KEYS" in listed) == ("grpc" in process.ports)
    if calls:
        assert listed["RPC_KEY"].references == (f"{service.name}.secrets.rpc_key",)
    if "grpc" in process.ports:
        assert listed["RPC_CALLER_KEYS"].references == (f"{service.name}.rpc_caller_keys",)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_target_of_a_service_is_one_that_it_may_call(service: Service) -> None:
    called = {
        name.split(".")[0]
        for process in service.processes.values()
        for setting in process.settings
        for name in setting.references
        if setting.name.endswith("_TARGET")
    }
    assert called == {each.name for each in SERVICES if service.name in callers_of(each.name)}


def test_a_service_is_given_the_public_keys_of_its_callers_and_no_others() -> None:
    config = local_config()
    environments = {each.command: each.environment for each in process_configs(config, SERVICES)}
    for service in SERVICES:
        for process in service.processes.values():
            if "grpc" not in process.ports:
                continue
            listed = environments[process.command][f"{service.prefix}RPC_CALLER_KEYS"]
            given = dict(part.split("=", 1) for part in listed.split(";"))
            assert given == {
                caller: public_key(config.secrets[f"{caller}.secrets.rpc_key"])
                for caller in callers_of(service.name)
            }
            assert not set(given.values()) & set(config.secrets.values())


def test_the_local_stack_serves_grpc_on_the_loopback_interface() -> None:
    processes = process_configs(local_config(), SERVICES)
    listens = [
        value
        for process in processes
        for name, value in process.settings.items()
        if name == "GRPC_LISTEN"
    ]
    assert listens
    assert {listen.partition(":")[0] for listen in listens} == {"127.0.0.1"}


def local_config() -> StackConfig:
    """Return a configuration of the local stack without servers."""
    return StackConfig(
        ports=Ports.default(SERVICES),
        database_urls={name: f"postgresql://{name}" for name in databases(SERVICES)},
        redis_url="redis://redis",
        amqp_urls={name: f"amqp://{name}" for name in broker_users(SERVICES)},
        secrets=Secrets.generate(SERVICES).services,
    )


def test_the_local_stack_provides_every_required_setting() -> None:
    config = local_config()
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
