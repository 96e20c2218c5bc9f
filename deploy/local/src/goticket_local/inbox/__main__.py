"""Runs the inbox: `python -m goticket_local.inbox HOST SMTP_PORT HTTP_PORT`."""

import asyncio
import sys

import uvicorn

from goticket_local.inbox.api import create_app
from goticket_local.inbox.mailbox import Mailbox
from goticket_local.inbox.smtp import serve_smtp


async def serve(host: str, smtp_port: int, http_port: int) -> None:
    """Serve SMTP and HTTP until asked to stop."""
    mailbox = Mailbox()
    config = uvicorn.Config(
        create_app(mailbox), host, http_port, loop="uvloop", log_level="warning", access_log=False
    )
    async with serve_smtp(mailbox, host, smtp_port):
        await uvicorn.Server(config).serve()


def main() -> None:
    """Run from the command line."""
    host, smtp_port, http_port = sys.argv[1:]
    asyncio.run(serve(host, int(smtp_port), int(http_port)))


if __name__ == "__main__":
    main()
