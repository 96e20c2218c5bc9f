"""A real mail server that says what a test tells it to say, and a migrated database."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import asyncpg
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from goticket_platform.postgres import open_pool
from goticket_testing.databases import DatabaseFactory

OK = "250 2.0.0 Ok"
LOGIN = (b"goticket", b"correct horse")


class MailExchange:
    """An SMTP server on loopback. What is queued in `mail`, `rcpt` and `data` is answered first."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.connections = 0
        self.logins = 0
        self.messages: list[EmailMessage] = []
        self.mail: deque[str] = deque()
        self.rcpt: deque[str] = deque()
        self.data: deque[str] = deque()
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.options: dict[str, Any] = {"enable_SMTPUTF8": True}
        self.implicit_tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._dialogues: list[SMTP] = []

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._dialogue, self.host, self.port, ssl=self.implicit_tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Stop listening and hang up on everybody."""
        if self._server:
            self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Cut every connection."""
        for dialogue in self._dialogues:
            if dialogue.transport:
                dialogue.transport.close()
        self._dialogues.clear()

    @property
    def message_ids(self) -> list[str]:
        """Message-IDs in order of arrival."""
        return [str(message["Message-ID"]) for message in self.messages]

    def _dialogue(self) -> SMTP:
        self.connections += 1
        loop = asyncio.get_running_loop()
        dialogue = SMTP(self, hostname="mx.example", loop=loop, **self.options)
        self._dialogues.append(dialogue)
        return dialogue

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        """Know one login."""
        assert isinstance(data, LoginPassword)
        success = (data.login, data.password) == LOGIN
        self.logins += success
        return AuthResult(success=success, handled=False)

    async def handle_MAIL(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        """Answer as told, or take the sender."""
        answer = self.mail.popleft() if self.mail else OK
        if answer.startswith("250"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        """Answer as told, or take the recipient."""
        answer = self.rcpt.popleft() if self.rcpt else OK
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Answer as told, or keep the message; wait until an answer may be given."""
        answer = self.data.popleft() if self.data else OK
        if answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
        self.asked.set()
        await self.may_answer.wait()
        return answer


@pytest.fixture
async def exchange() -> AsyncIterator[MailExchange]:
    exchange = MailExchange()
    yield exchange
    exchange.may_answer.set()
    exchange.stop()


@pytest.fixture
async def pool(database: DatabaseFactory) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(await database("notification"), max_size=12)
    yield pool
    await asyncio.wait_for(pool.close(), 10)
