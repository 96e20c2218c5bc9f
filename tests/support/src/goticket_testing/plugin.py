"""The pytest plugin: real servers per session, fresh databases and virtual hosts per test."""

import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog
from goticket_local import reaper, system
from goticket_local.mailbox.process import MailboxProcess
from goticket_local.ports import free_ports
from goticket_local.servers.postgres import ACCOUNT, can_access
from redis import Redis
from xdist.workermanage import (  # type: ignore[import-untyped]  # it ships no types
    WorkerController,
)

from goticket_testing import backend
from goticket_testing.backend import RabbitBackend, RedisBackend, ServerSource, running
from goticket_testing.databases import DatabaseFactory, Postgres
from goticket_testing.native import NativeSource
from goticket_testing.spread import worker_input, worker_output
from goticket_testing.stack import RunningStack

CHOICE = pytest.StashKey[str]()
STARTED = pytest.StashKey[list[str]]()
SERVERS = "goticket_servers"
"""The key of the servers in the input and output of pytest-xdist's workers."""
REDIS_DATABASES = 16

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Decide once between native servers and containers; a worker uses the controller's choice."""
    _log_plain_tracebacks()
    worker = worker_input(config)
    config.stash[CHOICE] = worker[SERVERS] if worker else backend.choose()
    config.stash[STARTED] = []


def _log_plain_tracebacks() -> None:
    """Log tracebacks without local variables.

    With rich installed, structlog prints every local variable by default. That takes ten seconds
    of CPU time for one exception of the gateway.
    """
    *others, _renderer = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, plain])


def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Install missing packages before workers start, which would do it concurrently."""
    if config.stash[CHOICE] == "native":
        system.ensure_packages()


def pytest_configure_node(node: WorkerController) -> None:
    """Send the choice of servers to a worker."""
    node.workerinput[SERVERS] = node.config.stash[CHOICE]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the servers of a worker's tests to the controller, which prints them."""
    if (output := worker_output(session.config)) is not None:
        output[SERVERS] = session.config.stash[STARTED]


def pytest_testnodedown(node: WorkerController) -> None:
    """Record the servers of a worker's tests. A crashed worker has sent none."""
    output = getattr(node, "workeroutput", {})
    started = node.config.stash[STARTED]
    started += [name for name in output.get(SERVERS, []) if name not in started]


def pytest_report_header(config: pytest.Config) -> str:
    """Print the servers that the tests will use."""
    return f"goticket: {backend.versions(config.stash[CHOICE])} (started when first needed)"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the servers that the tests used."""
    started = config.stash[STARTED]
    if started:
        terminalreporter.write_line(f"goticket: ran against {config.stash[CHOICE]} servers:")
        terminalreporter.write_line(f"          {', '.join(started)}")


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """The folder of the session's servers, deleted at the end of the session."""
    for parent in (tempfile.gettempdir(), "/var/tmp"):  # noqa: S108 - mkdtemp makes it private
        folder = Path(tempfile.mkdtemp(prefix="goticket-test-", dir=parent))
        folder.chmod(0o711)  # PostgreSQL may run as another account
        if can_access(ACCOUNT, folder):
            break
        folder.rmdir()
    with reaper.attach(folder):
        # Leaving the block closes the reaper's input and waits for the reaper.
        yield folder


@pytest.fixture(scope="session")
def server_source(session_folder: Path, pytestconfig: pytest.Config) -> ServerSource:
    """Creates the session's servers, native or containers; installs missing packages."""
    if pytestconfig.stash[CHOICE] == "containers":
        from goticket_testing.containers import ContainerSource  # slow to import

        return ContainerSource()
    system.ensure_packages()
    return NativeSource(session_folder)


@pytest.fixture(scope="session")
def postgres_server(server_source: ServerSource, pytestconfig: pytest.Config) -> Iterator[Postgres]:
    """The session's PostgreSQL."""
    with running(server_source.postgres()) as server:
        pytestconfig.stash[STARTED].append(f"PostgreSQL {backend.postgres_version(server)}")
        yield Postgres(server)


@pytest.fixture(scope="session")
def redis_server(
    server_source: ServerSource, pytestconfig: pytest.Config
) -> Iterator[RedisBackend]:
    """The session's Redis."""
    with running(server_source.redis()) as server:
        pytestconfig.stash[STARTED].append(f"Redis {backend.redis_version(server)}")
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server(
    server_source: ServerSource, pytestconfig: pytest.Config
) -> Iterator[RabbitBackend]:
    """The session's RabbitMQ."""
    with running(server_source.rabbitmq()) as server:
        pytestconfig.stash[STARTED].append(f"RabbitMQ {backend.rabbitmq_version(server)}")
        yield server


@pytest_asyncio.fixture
async def database(postgres_server: Postgres) -> AsyncIterator[DatabaseFactory]:
    """A factory: `await database("booking")` is the URL of a fresh, migrated database."""
    names: list[str] = []

    async def create(service: str) -> str:
        names.append(await postgres_server.clone(service))
        return postgres_server.dsn(service, names[-1])

    yield create
    for name in names:
        await postgres_server.drop(name)


@pytest.fixture
def amqp_url(rabbitmq_server: RabbitBackend) -> Iterator[str]:
    """The URL of a virtual host that only this test uses."""
    name = f"test-{next(_numbers)}"
    rabbitmq_server.start()  # an earlier test may have stopped it
    rabbitmq_server.add_vhost(name)
    yield rabbitmq_server.amqp_url(name)
    rabbitmq_server.start()
    rabbitmq_server.delete_vhost(name)


@pytest.fixture
def redis_url(redis_server: RedisBackend) -> str:
    """The URL of an empty Redis database; the next test gets another one."""
    redis_server.start()  # an earlier test may have stopped it
    # The running system uses number 0.
    url = redis_server.url(1 + next(_numbers) % (REDIS_DATABASES - 1))
    with Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="session")
def mailbox_process(session_folder: Path) -> Iterator[MailboxProcess]:
    """The session's mailbox."""
    process = MailboxProcess(*free_ports(2), run_dir=session_folder, log_dir=session_folder)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def smtp_mailbox(mailbox_process: MailboxProcess) -> MailboxProcess:
    """An empty mailbox: an SMTP server at `.host` and `.port`; `.messages()` lists the e-mails."""
    mailbox_process.clear()
    return mailbox_process


@pytest.fixture(scope="session")
def stack(
    session_folder: Path,
    postgres_server: Postgres,
    redis_server: RedisBackend,
    rabbitmq_server: RabbitBackend,
) -> Iterator[RunningStack]:
    """The whole system, started once. A test that stops a part of it calls `heal` at its end."""
    running_stack = RunningStack(
        session_folder / "stack", postgres_server, redis_server, rabbitmq_server, with_tls=True
    )
    try:
        running_stack.set_up()
        yield running_stack
    finally:
        killed = running_stack.stop_all()
    # Every process must stop within the drain time.
    assert killed == []
