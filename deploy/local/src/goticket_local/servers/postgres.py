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
from goticket_local.process import Process, StartFailed, run_as
from goticket_local.servers.base import Server, minimal_environment

HOST = "127.0.0.1"
SUPERUSER = "postgres"
# PostgreSQL refuses to run as root; this account comes with the package.
ACCOUNT = "postgres"
# The parent of clusters whose checkout that account cannot access.
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


CREATE_DATABASE = """
SELECT pg_advisory_lock(hashtext('goticket.create_database'));
SELECT format('CREATE DATABASE %I', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name')
\\gexec
"""
"""A psql script; two that run at once would both find no database."""


class PostgresServer(Server):
    """PostgreSQL with a superuser `postgres` and scram-sha-256 passwords for every role."""

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
        """A connection URL of the superuser."""
        return self.dsn(SUPERUSER, self.password, database)

    @cached_property
    def process(self) -> Process:
        """The postmaster."""
        return Process(
            self.name,
            self._argv(),
            env=minimal_environment(),
            run_dir=self.run_dir,
            log=self.log,
            user=ACCOUNT,
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait until clients disconnect
        )

    def prepare(self) -> None:
        """Create the cluster, owned by the account that will run it."""
        if not (self.data / "PG_VERSION").exists():
            self.home.mkdir(parents=True, exist_ok=True)
            self._create_cluster(self._cluster_folder())
        self.process.argv = self._argv()

    def _cluster_folder(self) -> Path:
        """A folder for the cluster that its account can access: home, if possible.

        If the checkout is in a private folder (root's home), `data` is a link out of it.
        """
        if not run_as(ACCOUNT):
            return self.home
        self.home.chmod(0o711)
        if can_access(ACCOUNT, self.home):
            return self.home
        outside = Path(tempfile.mkdtemp(prefix="goticket-postgres-", dir=OUTSIDE))
        outside.chmod(0o711)
        self.data.unlink(missing_ok=True)
        self.data.symlink_to(outside / "data")
        return outside

    def _create_cluster(self, folder: Path) -> None:
        draft = folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)  # left by an interrupted attempt
        draft.mkdir(mode=0o700)
        password_file = folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if run_as(ACCOUNT):
            for path in (draft, password_file):
                shutil.chown(path, ACCOUNT, pwd.getpwnam(ACCOUNT).pw_gid)
        initdb = [
            str(programs.find("initdb")),
            *("-D", str(draft), "-U", SUPERUSER, "--pwfile", str(password_file)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"),
            *(() if self.durable else ("--no-sync",)),
        ]
        try:
            done = _run(ACCOUNT, initdb)
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise StartFailed(f"initdb failed:\n{done.stdout}{done.stderr}")
        draft.rename(folder / "data")  # only a complete cluster gets the final name

    def _argv(self) -> list[str]:
        settings = COMMON | {"port": str(self.port)} | ({} if self.durable else NOT_DURABLE)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(programs.find("postgres")), "-D", str(self.data.resolve()), *options]

    def is_ready(self) -> bool:
        """Whether it accepts connections. It refuses them during recovery."""
        command = [str(programs.find("pg_isready")), "-q", "-t", "2", "-h", HOST]
        return subprocess.run([*command, "-p", str(self.port)], check=False).returncode == 0

    def run_sql(self, database: str, sql: str, variables: Mapping[str, str] | None = None) -> str:
        """Run a psql script as superuser and return its output; stops at the first error.

        Raises `subprocess.CalledProcessError` with psql's messages in `stderr`.
        """
        done = subprocess.run(
            [
                str(programs.find("psql")),
                *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
                *("-h", HOST, "-p", str(self.port), "-U", SUPERUSER, "-d", database),
            ],
            # Passwords are passed by environment and input: every user can list arguments.
            input=psql_script(sql, variables),
            env=minimal_environment() | {"PGPASSWORD": self.password},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        self.run_sql("postgres", CREATE_DATABASE, {"name": name})

    def remove(self) -> None:
        """Delete cluster and folder. The server must not run."""
        if self.data.is_symlink():
            shutil.rmtree(self.data.resolve().parent, ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)


def psql_script(sql: str, variables: Mapping[str, str] | None) -> str:
    """A psql script that first sets its variables."""
    assignments = [f"\\set {name} {_quoted(value)}\n" for name, value in (variables or {}).items()]
    return "".join(assignments) + sql


def can_access(user: str, folder: Path) -> bool:
    """Whether an account can access a folder and all its parents."""
    argv = ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]
    return _run(user, argv).returncode == 0


def _run(user: str, argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*run_as(user), *argv],
        env=minimal_environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def _quoted(value: str) -> str:
    """A value quoted for psql's backslash commands."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
