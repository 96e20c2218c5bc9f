"""The mailbox as a process, and a client of its API."""

import contextlib
import http.client
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from goticket_local.process import Process, StartFailed, wait_until
from goticket_local.servers.base import minimal_environment

HOST = "127.0.0.1"
START_SECONDS = 30.0


class MailboxProcess:
    """A running mailbox: SMTP on one port, page and API on another."""

    def __init__(self, smtp_port: int, http_port: int, *, run_dir: Path, log_dir: Path) -> None:
        self.host = HOST
        self.smtp_port = smtp_port
        self.url = f"http://{HOST}:{http_port}"
        self.process = Process(
            "mailbox",
            [sys.executable, "-m", "goticket_local.mailbox", HOST, str(smtp_port), str(http_port)],
            env=minimal_environment(),
            run_dir=run_dir,
            log=log_dir / "mailbox.log",
        )

    @property
    def port(self) -> int:
        """The SMTP port."""
        return self.smtp_port

    def start(self) -> None:
        """Start it and wait until it is ready. Raises `StartFailed`."""
        self.process.start()
        wait_until(lambda: self.is_ready() or not self.process.alive, START_SECONDS)
        if not self.is_ready():
            raise StartFailed(f"the mailbox did not start:\n{self.process.log_tail()}")

    def stop(self) -> None:
        """Stop it. Its e-mails are lost."""
        self.process.stop()

    def is_ready(self) -> bool:
        """Whether it serves requests now."""
        try:
            self._call("GET", "/readyz")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def messages(self, query: str = "") -> list[dict[str, Any]]:
        """Summaries of the e-mails that match a query such as `to:a@b.c`; newest first."""
        path = f"search?query={quote(query)}&" if query else "messages?"
        page = json.loads(self._call("GET", f"/api/v1/{path}limit=20000"))
        found: list[dict[str, Any]] = page["messages"]
        return found

    def message(self, mail_id: str) -> dict[str, Any]:
        """One e-mail with its bodies and the list of its parts."""
        found: dict[str, Any] = json.loads(self._call("GET", f"/api/v1/message/{mail_id}"))
        return found

    def raw(self, mail_id: str) -> bytes:
        """The bytes of one e-mail."""
        return self._call("GET", f"/api/v1/message/{mail_id}/raw")

    def part(self, mail_id: str, part_id: str) -> bytes:
        """The content of one part of an e-mail."""
        return self._call("GET", f"/api/v1/message/{mail_id}/part/{part_id}")

    def clear(self) -> None:
        """Delete every e-mail."""
        self._call("DELETE", "/api/v1/messages")

    def _call(self, method: str, path: str) -> bytes:
        address = urlsplit(self.url).netloc
        with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
            if response.status != http.HTTPStatus.OK:
                raise OSError(f"{method} {path}: {response.status}")
            return body
