"""A private PostgreSQL cluster."""

import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from goticket_local import programs
from goticket_local.process import Process, StartFailed, become
from goticket_local.servers.base import Server, plain_environment

HOST = "127.0.0.1"
SUPERUSER = "postgres"
# PostgreSQL refuses to run as root; this account comes with the package.
ACCOUNT = "postgres"
# For clusters of checkouts that account cannot enter; each gets a private folder in it.
OUTSIDE = "/var/tmp"  # noqa: S108

COMMON = {
    "listen_addresses": HOST,
    # No socket file: it would need a folder that both accounts may write.
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Survives a killed server (the kernel has the writes), not a power cut.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "checkpoint_timeout": "30min"}


class PostgresServer(Server):
    """PostgreSQL with a superuser `postgres` and scram passwords for everybody."""

    name = "postgres"

    def __init__(
        self,
        home: Path,
        port: int,
        *,
        password: str,
        durable: bool = True,
        run_dir: Path | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(home, run_dir, log_dir)
        self.port = port
        self.password = password
        self.durable = durable
        self.data = home / "data"

    def dsn(self, role: str, password: str, database: str) -> str:
        """A connection URL."""
        return f"postgresql://{role}:{quote(password, safe='')}@{HOST}:{self.port}/{database}"

    def superuser_dsn(self, database: str = "postgres") -> str:
        """A connection URL for what only a superuser may do."""
        return self.dsn(SUPERUSER, self.password, database)

    @cached_property
    def process(self) -> Process:
        """The postmaster."""
        return Process(
            self.name,
            self._argv(),
            env=plain_environment(),
            run_dir=self.run_dir,
            log=self.log,
            user=ACCOUNT,
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for clients to leave
        )

    def prepare(self) -> None:
        """Make the cluster, owned by the account that will run it."""
        if not (self.data / "PG_VERSION").exists():
            self.home.mkdir(parents=True, exist_ok=True)
            self._make_cluster(self._place())
        self.process.argv = self._argv()

    def _place(self) -> Path:
        """A folder for the cluster that its account can enter: home, where possible.

        A checkout in a private folder (root's home) is not; `data` then links out of it.
        """
        if not become(ACCOUNT):
            return self.home
        self.home.chmod(0o711)
        if can_enter(ACCOUNT, self.home):
            return self.home
        outside = Path(tempfile.mkdtemp(prefix="goticket-postgres-", dir=OUTSIDE))
        outside.chmod(0o711)
        self.data.unlink(missing_ok=True)
        self.data.symlink_to(outside / "data")
        return outside

    def _make_cluster(self, place: Path) -> None:
        fresh = place / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)  # what an interrupted attempt left
        fresh.mkdir(mode=0o700)
        password_file = place / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if become(ACCOUNT):
            for path in (fresh, password_file):
                shutil.chown(path, ACCOUNT, pwd.getpwnam(ACCOUNT).pw_gid)
        initdb = [
            str(programs.find("initdb")),
            *("-D", str(fresh), "-U", SUPERUSER, "--pwfile", str(password_file)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"),
            *(() if self.durable else ("--no-sync",)),
        ]
        try:
            done = _run_as(ACCOUNT, initdb)
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise StartFailed(f"initdb failed:\n{done.stdout}{done.stderr}")
        fresh.rename(place / "data")  # only a finished cluster gets the name

    def _argv(self) -> list[str]:
        settings = COMMON | {"port": str(self.port)} | ({} if self.durable else NOT_DURABLE)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(programs.find("postgres")), "-D", str(self.data.resolve()), *options]

    def answers(self) -> bool:
        """Whether it takes connections (it refuses them while it recovers)."""
        command = [str(programs.find("pg_isready")), "-q", "-t", "2", "-h", HOST]
        return subprocess.run([*command, "-p", str(self.port)], check=False).returncode == 0

    def run_sql(self, database: str, sql: str, variables: Mapping[str, str] | None = None) -> str:
        """Run a psql script as superuser and return its output; stops at the first error.

        Raises `subprocess.CalledProcessError` with psql's words in `stderr`.
        """
        done = subprocess.run(
            [
                str(programs.find("psql")),
                *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
                *("-h", HOST, "-p", str(self.port), "-U", SUPERUSER, "-d", database),
            ],
            # Passwords go by environment and input: the process list shows arguments to everybody.
            input=psql_script(sql, variables),
            env=plain_environment() | {"PGPASSWORD": self.password},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        self.run_sql(
            "postgres",
            "SELECT format('CREATE DATABASE %I', :'name')\n"
            "WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name')\n\\gexec\n",
            {"name": name},
        )

    def remove(self) -> None:
        """Delete cluster and folder; it must not run."""
        if self.data.is_symlink():
            shutil.rmtree(self.data.resolve().parent, ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)


def psql_script(sql: str, variables: Mapping[str, str] | None) -> str:
    """A script that begins with setting its variables."""
    assignments = [f"\\set {name} {_quoted(value)}\n" for name, value in (variables or {}).items()]
    return "".join(assignments) + sql


def can_enter(user: str, folder: Path) -> bool:
    """Whether the account a server would run as can reach a folder through its parents."""
    argv = ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]
    return _run_as(user, argv).returncode == 0


def _run_as(user: str, argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*become(user), *argv],
        env=plain_environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def _quoted(value: str) -> str:
    """A value as psql's backslash commands read it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
