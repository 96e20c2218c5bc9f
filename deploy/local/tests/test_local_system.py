"""What surrounds the processes: ports, secrets, folders and messages."""

import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from goticket_local import programs, system
from goticket_local.local import LocalSystem, PortsBusy
from goticket_local.quickstart import session
from goticket_local.stack.ports import Ports
from goticket_local.stack.secrets import ROLES, Secrets
from goticket_local.stack.services import StackConfig, services


def config(ports: Ports) -> StackConfig:
    return StackConfig(
        ports=ports,
        database_urls={role: f"postgresql://{role}@db/goticket" for role in ROLES},
        redis_url="redis://cache",
        amqp_url="amqp://broker",
        signing_key="c2lnbmluZw==",
        ticket_key="dGlja2V0",
        admin_email="admin@goticket.example",
        admin_password="secret",
    )


def test_every_port_is_for_one_thing() -> None:
    ports = list(Ports().named().values())
    assert len(set(ports)) == len(ports)


def test_a_port_can_be_chosen_by_its_variable() -> None:
    chosen = Ports.chosen({"GOTICKET_GATEWAY_PORT": "8081", "GOTICKET_INBOX_PORT": ""})
    assert chosen == replace(Ports(), gateway=8081)


def test_the_ports_of_a_running_system_are_remembered(tmp_path: Path) -> None:
    assert Ports.load(tmp_path / "ports.json") is None
    replace(Ports(), gateway=8081).save(tmp_path / "ports.json")
    assert Ports.load(tmp_path / "ports.json") == replace(Ports(), gateway=8081)


def test_a_busy_port_is_named_with_what_it_is_for_and_the_way_out(tmp_path: Path) -> None:
    local = LocalSystem(tmp_path, print)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        local.ports = replace(Ports.free(), gateway=port)
        with pytest.raises(PortsBusy) as busy:
            local.check_ports()
    message = str(busy.value)
    assert message.startswith(f"Port {port} (gateway) is busy")
    assert "GOTICKET_GATEWAY_PORT=" in message
    assert len(message.splitlines()) == 1


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    first = Secrets.kept_in(file)
    assert Secrets.kept_in(file) == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert first.signing_key != first.ticket_key
    assert first.postgres not in repr(first)


def test_every_process_gets_its_settings_under_its_own_prefix() -> None:
    table = services(config(Ports()))
    for service in table:
        prefix = service.command.split()[0].upper()
        assert all(name.startswith(f"{prefix}_") for name in service.environment)
        assert service.environment[f"{prefix}_METRICS_LISTEN"] == f"127.0.0.1:{service.ops_port}"
    assert len({service.ops_port for service in table}) == len(table)


def test_only_the_issuer_of_tokens_and_tickets_has_the_keys() -> None:
    holders = {
        service.command: {
            value for value in service.environment.values() if value in {"c2lnbmluZw==", "dGlja2V0"}
        }
        for service in services(config(Ports()))
    }
    assert {command for command, keys in holders.items() if keys} == {
        "identity serve",
        "booking serve",
    }


def test_the_printed_session_has_no_gaps() -> None:
    text = session("http://127.0.0.1:8080", "http://127.0.0.1:8025")
    assert re.findall(r"\{[a-z_]+\}", text) == []


def test_without_rights_one_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "missing_packages", lambda: ["postgresql", "redis-server"])
    monkeypatch.setattr(system, "_rights", lambda: None)
    with pytest.raises(system.CannotInstall) as refused:
        system.ensure_packages()
    assert "apt-get install --no-install-recommends postgresql postgresql-contrib redis-server" in (
        str(refused.value)
    )


def test_down_without_anything_running_is_harmless(tmp_path: Path) -> None:
    said: list[str] = []
    LocalSystem(tmp_path, said.append).down()
    assert said == ["Nothing runs."]
