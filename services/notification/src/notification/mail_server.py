"""Hands letters to the mail server over a few connections that are kept open."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import aiosmtplib
from goticket_platform.logs import get_logger
from goticket_platform.messaging.consumer import RetryableError
from goticket_platform.telemetry import tracer
from opentelemetry.trace import SpanKind
from prometheus_client import Histogram

from notification.letters import Letter

STEP_SECONDS = 10.0
"""How long the server may take to answer one command."""
SEND_SECONDS = 30.0
"""How long a letter may take from connecting to the server's yes."""
FRESH_SECONDS = 15.0
"""A connection idle for longer is asked whether it still lives before it is used."""
QUIT_SECONDS = 2.0

_PERMANENT = range(500, 600)
# RFC 1870, section 6.1: the server says so before it sees the letter. Anything else
# it says about the sender is about us.
_TOO_BIG = 552

SECONDS = Histogram("goticket_notification_smtp_seconds", "Time to hand over a letter", ["outcome"])

logger = get_logger(__name__)


class Refused(Exception):
    """The mail server will never take this letter."""


class NotNow(Exception):
    """The mail server does not take this letter at the moment."""


class Unavailable(RetryableError):
    """The mail server cannot be used: it says nothing about the letter."""


class Tls(StrEnum):
    """How the connection is protected; certificates are always verified."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True)
class Account:
    """Where the mail server is and who we are to it."""

    host: str
    port: int
    tls: Tls = Tls.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls_context: ssl.SSLContext | None = None


class MailServer:
    """At most `connections` at once, each used for one letter after another."""

    def __init__(self, account: Account, connections: int = 1) -> None:
        self._account = account
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[tuple[aiosmtplib.SMTP, float]] = []

    async def send(self, letter: Letter) -> None:
        """Hand the letter over; when this returns the server is responsible for it.

        Raises:
            Refused: permanently (a 5xx answer about the recipient or the content).
            NotNow: for the moment (a 4xx answer about them).
            Unavailable: no server, no answer in time, or it does not know us.
        """
        began = time.perf_counter()
        outcome = "failed"
        try:
            with tracer.start_as_current_span(
                "smtp send",
                kind=SpanKind.CLIENT,
                attributes={
                    "server.address": self._account.host,
                    "server.port": self._account.port,
                    "goticket.message_id": letter.smtp_message_id,
                    "goticket.message_bytes": len(letter.content),
                },
            ):
                await self._hand_over(letter)
            outcome = "sent"
        finally:
            SECONDS.labels(outcome).observe(time.perf_counter() - began)

    async def close(self) -> None:
        """Take leave of the server; no letter may be on its way."""
        while self._idle:
            client, _ = self._idle.pop()
            try:
                await client.quit(timeout=QUIT_SECONDS)
            except (aiosmtplib.SMTPException, OSError):
                client.close()

    async def _hand_over(self, letter: Letter) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS), self._connection() as client:
                if letter.international and not client.supports_extension("smtputf8"):
                    raise Refused("the mail server takes no international addresses")
                await client.sendmail(
                    letter.sender,
                    [letter.recipient],
                    letter.content,
                    mail_options=["SMTPUTF8"] if letter.international else [],
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _verdict(error.recipients[0]) from error
        except aiosmtplib.SMTPDataError as error:
            raise _verdict(error) from error
        except aiosmtplib.SMTPSenderRefused as error:
            if error.code == _TOO_BIG:
                raise _verdict(error) from error
            raise Unavailable(f"{error.code} {error.message}") from error
        except (aiosmtplib.SMTPException, OSError, ssl.CertificateError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        except ValueError as error:  # an address that cannot be said on the wire
            raise Refused(str(error)) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """A connection ready for a letter; it is kept unless its state is in doubt."""
        async with self._slots:
            client = await self._revived() or await self._connected()
            try:
                yield client
            except (Refused, aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError):
                # The server answered and the client has reset the dialogue.
                self._keep(client)
                raise
            except BaseException:
                client.close()
                raise
            self._keep(client)

    def _keep(self, client: aiosmtplib.SMTP) -> None:
        if client.is_connected:
            self._idle.append((client, time.monotonic()))

    async def _revived(self) -> aiosmtplib.SMTP | None:
        while self._idle:
            client, since = self._idle.pop()
            if not client.is_connected:
                continue
            if time.monotonic() - since < FRESH_SECONDS:
                return client
            try:
                await client.noop()
            except (aiosmtplib.SMTPException, OSError):
                client.close()
            else:
                return client
        return None

    async def _connected(self) -> aiosmtplib.SMTP:
        account = self._account
        client = aiosmtplib.SMTP(
            hostname=account.host,
            port=account.port,
            use_tls=account.tls is Tls.TLS,
            start_tls=account.tls is Tls.STARTTLS,
            tls_context=account.tls_context or ssl.create_default_context(),
            username=account.username,
            password=account.password,
            # The default asks the DNS for a name, which may take its whole timeout.
            local_hostname=socket.gethostname(),
            timeout=STEP_SECONDS,
        )
        try:
            await client.connect()
            # The library says hello only when it must; what the server can do shows after.
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except BaseException:
            client.close()
            raise
        logger.info("connected to the mail server", host=account.host, tls=account.tls)
        return client


def _verdict(answer: aiosmtplib.SMTPResponseException) -> Refused | NotNow:
    text = f"{answer.code} {answer.message}"
    return Refused(text) if answer.code in _PERMANENT else NotNow(text)
