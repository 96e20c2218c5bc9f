"""A private PostgreSQL cluster."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from goticket_local import programs
from goticket_local.process import Process, StartFailed, account_for
from goticket_local.servers.base import Server, plain_environment

HOST = "127.0.0.1"
SUPERUSER = "postgres"
# PostgreSQL refuses to run as root; this account comes with the package.
ACCOUNT = "postgres"

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
        settings = COMMON | {"port": str(self.port)} | ({} if self.durable else NOT_DURABLE)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Process(
            self.name,
            [str(programs.find("postgres")), "-D", str(self.data), *options],
            env=plain_environment(),
            run_dir=self.run_dir,
            log=self.log,
            user=ACCOUNT,
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for clients to leave
        )

    def prepare(self) -> None:
        """Make the cluster, owned by the account that will run it."""
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)  # what an interrupted initdb left
        self.home.mkdir(parents=True, exist_ok=True)
        account = account_for(ACCOUNT)
        if account.uid is not None:
            self.home.chmod(0o711)
            self._check_reachable()
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        password_file = self.home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if account.uid is not None and account.gid is not None:
            os.chown(fresh, account.uid, account.gid)
            os.chown(password_file, account.uid, account.gid)
        try:
            self._as_account(
                [
                    str(programs.find("initdb")),
                    *("-D", str(fresh), "-U", SUPERUSER, "--pwfile", str(password_file)),
                    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"),
                    *(() if self.durable else ("--no-sync",)),
                ]
            )
        finally:
            password_file.unlink()
        fresh.rename(self.data)  # only a finished cluster gets the name

    def answers(self) -> bool:
        """Whether it takes connections (it refuses them while it recovers)."""
        command = [str(programs.find("pg_isready")), "-q", "-t", "2", "-h", HOST]
        return subprocess.run([*command, "-p", str(self.port)], check=False).returncode == 0

    def run_sql(self, database: str, sql: str, variables: Mapping[str, str] | None = None) -> str:
        """Run a psql script as superuser and return its output; stops at the first error.

        Raises `subprocess.CalledProcessError` with psql's words in `stderr`.
        """
        assignments = "".join(f"\\set {k} {_quoted(v)}\n" for k, v in (variables or {}).items())
        done = subprocess.run(
            [
                str(programs.find("psql")),
                *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
                *("-h", HOST, "-p", str(self.port), "-U", SUPERUSER, "-d", database),
            ],
            # Passwords go by environment and input: the process list shows arguments to everybody.
            input=assignments + sql,
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

    def _check_reachable(self) -> None:
        try:
            self._as_account(["/bin/sh", "-c", 'cd "$1"', "sh", str(self.home)])
        except StartFailed:
            raise StartFailed(
                f"The account {ACCOUNT} cannot enter {self.home} (PostgreSQL will not run as "
                "root): move the checkout out of a private folder, or run as an ordinary user."
            ) from None

    def _as_account(self, argv: list[str]) -> None:
        account = account_for(ACCOUNT)
        done = subprocess.run(
            argv,
            env=plain_environment(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            user=account.uid,
            group=account.gid,
            extra_groups=account.groups,
        )
        if done.returncode != 0:
            raise StartFailed(f"{argv[0]} failed:\n{done.stdout}{done.stderr}")


def _quoted(value: str) -> str:
    """A value as psql's backslash commands read it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
