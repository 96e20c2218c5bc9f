"""Ports, secrets, settings and messages of the local system."""

import json
import re
import socket
from pathlib import Path

import pytest
from goticket_local import programs, system
from goticket_local.local import LocalSystem, PortsBusy
from goticket_local.manifest import broker_users, databases, load_services
from goticket_local.quickstart import example_session
from goticket_local.stack.config import StackConfig, process_configs
from goticket_local.stack.ports import Ports
from goticket_local.stack.secrets import Secrets

SERVICES = load_services()


def config(secrets: Secrets) -> StackConfig:
    return StackConfig(
        ports=Ports.default(),
        database_urls={name: f"postgresql://{name}@db/goticket" for name in databases(SERVICES)},
        redis_url="redis://cache",
        amqp_urls={name: f"amqp://{name}@broker" for name in broker_users(SERVICES)},
        secrets=secrets.services,
    )


def with_port(ports: Ports, name: str, number: int) -> Ports:
    return Ports({**ports.numbers, name: number})


def test_every_port_has_one_purpose() -> None:
    ports = list(Ports.default().numbers.values())
    assert len(set(ports)) == len(ports)


def test_a_port_can_be_chosen_by_its_variable() -> None:
    chosen = Ports.chosen({"GOTICKET_GATEWAY_PORT": "8081", "GOTICKET_MAILBOX_PORT": ""})
    assert chosen == with_port(Ports.default(), "gateway", 8081)


def test_the_ports_of_a_running_system_are_stored(tmp_path: Path) -> None:
    assert Ports.load(tmp_path / "ports.json") is None
    ports = with_port(Ports.default(), "gateway", 8081)
    ports.save(tmp_path / "ports.json")
    assert Ports.load(tmp_path / "ports.json") == ports


def test_a_service_added_to_a_running_system_gets_its_default_ports(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text('{"gateway": 8081}')
    ports = Ports.load(tmp_path / "ports.json")
    assert ports == with_port(Ports.default(), "gateway", 8081)


def test_the_error_for_a_busy_port_has_its_name_and_its_variable(
    tmp_path: Path,
) -> None:
    local = LocalSystem(tmp_path, print)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        local.ports = with_port(Ports.free(), "gateway", port)
        with pytest.raises(PortsBusy) as busy:
            local.check_ports()
    message = str(busy.value)
    assert message.startswith(f"Port {port} (gateway) is busy")
    assert "GOTICKET_GATEWAY_PORT=" in message
    assert len(message.splitlines()) == 1


def test_secrets_are_generated_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    first = Secrets.stored_in(file)
    assert Secrets.stored_in(file) == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(set(first.services.values())) == len(first.services)
    assert first.postgres not in repr(first)


def test_a_secret_that_a_service_declares_later_is_added_to_the_stored_ones(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    first = Secrets.stored_in(file)
    stored = json.loads(file.read_text())
    del stored["services"]["booking.secrets.notification_token"]
    file.write_text(json.dumps(stored))
    second = Secrets.stored_in(file)
    assert second.roles == first.roles
    assert len(second.services["booking.secrets.notification_token"]) >= 32
    assert Secrets.stored_in(file) == second


def test_every_process_gets_its_settings_with_its_own_prefix() -> None:
    processes = process_configs(config(Secrets.generate()))
    for process in processes:
        prefix = process.command.split()[0].upper()
        assert all(name.startswith(f"{prefix}_") for name in process.environment)
        assert process.environment[f"{prefix}_METRICS_LISTEN"] == f"127.0.0.1:{process.ops_port}"
    assert len({process.ops_port for process in processes}) == len(processes)


def test_a_secret_is_given_only_to_the_processes_that_use_it() -> None:
    secrets = Secrets.generate()
    holders = {
        name: {
            process.command
            for process in process_configs(config(secrets))
            if secret in process.environment.values()
        }
        for name, secret in secrets.services.items()
    }
    assert holders == {
        "identity.secrets.signing_key": {"identity serve"},
        "booking.secrets.ticket_key": {"booking serve"},
        "booking.secrets.notification_token": {"booking serve", "notification worker"},
    }


def test_the_printed_session_has_no_placeholders() -> None:
    text = example_session("http://127.0.0.1:8080", "http://127.0.0.1:8025")
    assert re.findall(r"\{[a-z_]+\}", text) == []


def test_without_root_one_error_has_the_command_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "missing_packages", lambda: ["postgresql", "redis-server"])
    monkeypatch.setattr(system, "_root_prefix", lambda: None)
    with pytest.raises(system.CannotInstall) as refused:
        system.ensure_packages()
    assert "apt-get install --no-install-recommends postgresql postgresql-contrib redis-server" in (
        str(refused.value)
    )


def test_down_without_a_running_process_does_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    LocalSystem(tmp_path, lines.append).down()
    assert lines == ["Nothing runs."]
