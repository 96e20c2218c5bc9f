"""The private servers: start, stop, kill and restart of real processes."""

import os
import pwd
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from goticket_local import reaper, system
from goticket_local.ports import describe_process, free_port, free_ports, is_busy, listener
from goticket_local.process import Identity, StartFailed
from goticket_local.servers import PostgresServer, RabbitPorts, RabbitServer, RedisServer
from goticket_local.servers.base import Server


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    system.ensure_packages()
    home = Path(tempfile.mkdtemp(prefix="goticket-test-"))
    home.chmod(0o711)
    with reaper.attach(home):
        yield home


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(
        folder / "postgres", free_port(), password="it's \\ a secret", durable=False
    )
    yield server
    server.discard()


@pytest.fixture(scope="module")
def redis(folder: Path) -> Iterator[RedisServer]:
    server = RedisServer(folder / "redis", free_port(), password=secrets.token_hex(8))
    yield server
    server.discard()


@pytest.fixture(scope="module")
def rabbitmq(folder: Path) -> Iterator[RabbitServer]:
    server = RabbitServer(
        folder / "rabbitmq", RabbitPorts(*free_ports(4)), password=secrets.token_hex(8)
    )
    yield server
    server.discard()


@pytest.fixture(params=["postgres", "redis", "rabbitmq"])
def server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    server.start()
    return server


def test_starting_a_running_server_changes_nothing(server: Server) -> None:
    first = server.pid
    server.start()
    assert server.pid == first


def test_a_killed_server_can_be_started(server: Server) -> None:
    first = server.pid
    server.kill()
    assert not server.alive
    server.start()
    assert server.pid != first


@pytest.mark.parametrize("name", ["postgres", "redis"])  # slow and no different for RabbitMQ
def test_a_stopped_server_can_be_started(name: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(name)
    server.start()
    server.stop()
    assert not server.alive
    server.start()


def test_a_server_listens_on_the_loopback_interface_only(server: Server) -> None:
    shown = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    mine = [line.split()[3] for line in shown.splitlines() if f"pid={server.pid}," in line]
    assert mine
    assert all(address.startswith(("127.0.0.1:", "[::1]:")) for address in mine), mine


def test_a_virtual_host_with_a_slash_in_its_name_can_be_created(rabbitmq: RabbitServer) -> None:
    rabbitmq.start()
    rabbitmq.add_vhost("a/b")
    rabbitmq.add_vhost("a/b")
    assert b'"a/b"' in rabbitmq.api("GET", "/api/vhosts")
    rabbitmq.delete_vhost("a/b")


def test_a_stopped_rabbitmq_leaves_no_port_mapper(rabbitmq: RabbitServer) -> None:
    rabbitmq.start()
    mapper = rabbitmq.port_mapper.pid
    assert mapper is not None
    rabbitmq.stop()
    assert Identity.of(mapper) is None
    assert not is_busy(rabbitmq.ports.port_mapper)


def test_postgres_never_runs_as_root(postgres: PostgresServer) -> None:
    postgres.start()
    owner = Path(f"/proc/{postgres.pid}").stat().st_uid
    assert owner == (pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else os.geteuid())


def test_psql_variables_survive_quotes_and_backslashes(postgres: PostgresServer) -> None:
    postgres.start()
    value = 'it\'s \\ \\n "quoted"'
    assert postgres.run_sql("postgres", "SELECT :'value'", {"value": value}) == value


def test_creating_a_database_twice_changes_nothing(postgres: PostgresServer) -> None:
    postgres.start()
    postgres.create_database("twice")
    postgres.create_database("twice")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account run PostgreSQL")
def test_postgres_runs_for_a_checkout_that_only_root_can_access(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = PostgresServer(
        private / "postgres", free_port(), password=secrets.token_hex(8), durable=False
    )
    try:
        server.start()
        server.restart()
        outside = server.data.resolve()
        assert not outside.is_relative_to(private)
    finally:
        server.discard()
    assert not outside.parent.exists()


def test_the_error_of_a_failed_start_has_the_log(redis: RedisServer, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = RedisServer(folder / "refused", port, password="x")
        with pytest.raises(StartFailed, match="Address already in use"):
            refused.start()
        assert not refused.alive


def test_the_holder_of_a_busy_port_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert is_busy(port)
        assert f"pid {os.getpid()}" in describe_process(listener(port))


def test_free_ports_are_all_different() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert not any(is_busy(port) for port in ports)
