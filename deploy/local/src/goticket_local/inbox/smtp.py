"""The SMTP side: takes every mail for everybody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiosmtpd.smtp import SMTP, Envelope, Session

from goticket_local.inbox.mailbox import Mail, Mailbox

MAX_MAIL_BYTES = 25 * 1024 * 1024


class Reception:
    """What aiosmtpd asks when a mail has arrived."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(  # noqa: N802 - the name is aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep the mail, then say yes."""
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        recipients = tuple(str(each) for each in envelope.rcpt_tos)
        mail = Mail(raw, envelope.mail_from or "", recipients, datetime.now(UTC))
        self._mailbox.add(mail)
        return f"250 2.0.0 Ok: queued as {mail.id}"


@asynccontextmanager
async def serve_smtp(mailbox: Mailbox, host: str, port: int) -> AsyncIterator[int]:
    """Take mails within the block; yields the port."""
    loop = asyncio.get_running_loop()
    reception = Reception(mailbox)

    def connection() -> SMTP:
        return SMTP(
            reception,
            data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            hostname="inbox.goticket.example",
            ident="GoTicket inbox",
            loop=loop,
        )

    server = await loop.create_server(connection, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
