"""The SMTP server: accepts every e-mail for every recipient."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session

from goticket_local.mailbox.store import Mail, MailStore

MAX_MAIL_BYTES = 25 * 1024 * 1024


class StoreHandler:
    """aiosmtpd's handler: stores each e-mail."""

    def __init__(self, store: MailStore) -> None:
        self._store = store

    async def handle_DATA(  # noqa: N802 - the name is aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Store the e-mail, then acknowledge it."""
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        recipients = tuple(str(each) for each in envelope.rcpt_tos)
        mail = Mail(raw, envelope.mail_from or "", recipients)
        self._store.add(mail)
        return f"250 2.0.0 Ok: queued as {mail.id}"


@asynccontextmanager
async def serve_smtp(store: MailStore, host: str, port: int) -> AsyncIterator[None]:
    """Accept e-mails within the block."""
    loop = asyncio.get_running_loop()
    handler = StoreHandler(store)

    def connection() -> SMTP:
        return SMTP(
            handler,
            data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            hostname="mailbox.goticket.example",
            ident="GoTicket mailbox",
            loop=loop,
        )

    server = await loop.create_server(connection, host, port)
    try:
        yield
    finally:
        server.close()
