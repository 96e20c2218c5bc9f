"""Runs the mailbox: `python -m goticket_local.mailbox HOST SMTP_PORT HTTP_PORT`."""

import asyncio
import sys

import uvicorn

from goticket_local.mailbox.api import create_app
from goticket_local.mailbox.smtp import serve_smtp
from goticket_local.mailbox.store import MailStore


async def serve(host: str, smtp_port: int, http_port: int) -> None:
    """Serve SMTP and HTTP until SIGTERM."""
    store = MailStore()
    config = uvicorn.Config(
        create_app(store), host, http_port, loop="uvloop", log_level="warning", access_log=False
    )
    async with serve_smtp(store, host, smtp_port):
        await uvicorn.Server(config).serve()


def main() -> None:
    """Run from the command line."""
    host, smtp_port, http_port = sys.argv[1:]
    asyncio.run(serve(host, int(smtp_port), int(http_port)))


if __name__ == "__main__":
    main()
