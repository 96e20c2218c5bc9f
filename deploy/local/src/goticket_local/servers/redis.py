"""A private Redis without persistence."""

import socket
from functools import cached_property
from pathlib import Path

from goticket_local import programs
from goticket_local.process import Process
from goticket_local.servers.base import Server, minimal_environment

HOST = "127.0.0.1"


class RedisServer(Server):
    """Redis with persistence off: in GoTicket it is never the source of truth."""

    name = "redis"

    def __init__(
        self,
        home: Path,
        port: int,
        *,
        password: str,
        run_dir: Path | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(home, run_dir, log_dir)
        self.port = port
        self.password = password

    def url(self, database: int = 0) -> str:
        """The URL of one of its numbered databases."""
        return f"redis://:{self.password}@{HOST}:{self.port}/{database}"

    @cached_property
    def process(self) -> Process:
        """The server process."""
        return Process(
            self.name,
            [str(programs.find("redis-server")), str(self.home / "redis.conf")],
            env=minimal_environment(),
            run_dir=self.run_dir,
            log=self.log,
        )

    def prepare(self) -> None:
        """Write its configuration. The password is in the file, not in the process list."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        conf = self.home / "redis.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            f"bind {HOST}\nport {self.port}\nrequirepass {self.password}\n"
            f'save ""\nappendonly no\ndaemonize no\ndir "{self.home}"\n'
        )

    def is_ready(self) -> bool:
        """Whether it executes commands. It refuses them while it loads."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as replies:
                    return [replies.readline().strip() for _ in "12"] == [b"+OK", b"+PONG"]
        except OSError:
            return False
