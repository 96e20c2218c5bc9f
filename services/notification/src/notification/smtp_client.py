"""Sends e-mails to an SMTP server over a few connections that are kept open."""

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
from goticket_platform.messaging.consumer import NonRetryableError, RetryableError
from goticket_platform.telemetry import tracer
from opentelemetry.trace import SpanKind
from prometheus_client import Histogram

from notification.email_rendering import Email

STEP_SECONDS = 10.0
"""Longest time until the server answers one command."""
FRESH_SECONDS = 15.0
"""A connection that was idle for longer is checked with NOOP before it is used."""
QUIT_SECONDS = 2.0

_PERMANENT = range(500, 600)
# RFC 1870, section 6.1: the server rejects the size at MAIL FROM. Any other rejection at
# MAIL FROM is about our account, not about this e-mail.
_MESSAGE_TOO_LARGE = 552

SECONDS = Histogram("goticket_notification_smtp_seconds", "Time to send an e-mail", ["outcome"])

logger = get_logger(__name__)


class EmailRefused(NonRetryableError):
    """The SMTP server refuses this e-mail permanently."""


class EmailDeferred(Exception):
    """The SMTP server does not accept this e-mail at the moment."""


class SmtpUnavailable(RetryableError):
    """The SMTP server is unavailable. The e-mail itself may be valid."""


class Tls(StrEnum):
    """Encryption of the connection; certificates are always verified."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True)
class SmtpAccount:
    """Address of the SMTP server and our credentials."""

    host: str
    port: int
    tls: Tls = Tls.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls_context: ssl.SSLContext | None = None


class SmtpMailer:
    """Sends over at most `connections` connections, one e-mail at a time on each."""

    def __init__(self, account: SmtpAccount, connections: int = 1) -> None:
        self._account = account
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[tuple[aiosmtplib.SMTP, float]] = []

    async def send(self, email: Email) -> None:
        """Send the e-mail; return when the server has accepted it and is responsible for it.

        A command may take STEP_SECONDS; the caller limits the whole.

        Raises:
            EmailRefused: a 5xx reply about the recipient or the content.
            EmailDeferred: a 4xx reply about them.
            SmtpUnavailable: no connection, no reply in time, or our login or sender is refused.
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
                    "goticket.message_id": email.smtp_message_id,
                    "goticket.message_bytes": len(email.content),
                },
            ):
                await self._deliver(email)
            outcome = "sent"
        finally:
            SECONDS.labels(outcome).observe(time.perf_counter() - began)

    async def close(self) -> None:
        """Close the connections. No e-mail may be in transit."""
        while self._idle:
            client, _ = self._idle.pop()
            try:
                await client.quit(timeout=QUIT_SECONDS)
            except (aiosmtplib.SMTPException, OSError):
                client.close()

    async def _deliver(self, email: Email) -> None:
        try:
            async with self._connection() as client:
                if email.international and not client.supports_extension("smtputf8"):
                    raise EmailRefused("the SMTP server does not support international addresses")
                await client.sendmail(
                    email.sender,
                    [email.recipient],
                    email.content,
                    # RFC 6531, section 3.4: headers in UTF-8 are 8-bit content.
                    mail_options=["SMTPUTF8", "BODY=8BITMIME"] if email.international else [],
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _reply_error(error.recipients[0]) from error
        except aiosmtplib.SMTPDataError as error:
            raise _reply_error(error) from error
        except aiosmtplib.SMTPSenderRefused as error:
            if error.code == _MESSAGE_TOO_LARGE:
                raise _reply_error(error) from error
            raise SmtpUnavailable(f"{error.code} {error.message}") from error
        except (aiosmtplib.SMTPException, OSError, ssl.CertificateError) as error:
            raise SmtpUnavailable(f"{type(error).__name__}: {error}") from error
        except ValueError as error:  # an address that SMTP cannot express
            raise EmailRefused(str(error)) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """Yield a ready connection; it is kept unless its state is unknown."""
        async with self._slots:
            client = await self._reused() or await self._connect()
            try:
                yield client
            except (EmailRefused, aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError):
                # The server replied and the client has reset the session.
                self._keep(client)
                raise
            except BaseException:
                client.close()
                raise
            self._keep(client)

    def _keep(self, client: aiosmtplib.SMTP) -> None:
        if client.is_connected:
            self._idle.append((client, time.monotonic()))

    async def _reused(self) -> aiosmtplib.SMTP | None:
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

    async def _connect(self) -> aiosmtplib.SMTP:
        account = self._account
        client = aiosmtplib.SMTP(
            hostname=account.host,
            port=account.port,
            use_tls=account.tls is Tls.TLS,
            start_tls=account.tls is Tls.STARTTLS,
            tls_context=account.tls_context or ssl.create_default_context(),
            username=account.username,
            password=account.password,
            # The default looks up a name in the DNS, which may take its whole timeout.
            local_hostname=socket.gethostname(),
            timeout=STEP_SECONDS,
        )
        try:
            await client.connect()
            # The library sends EHLO only when it must; the reply lists the server's extensions.
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except BaseException:
            client.close()
            raise
        logger.info("connected to the SMTP server", host=account.host, tls=account.tls)
        return client


def _reply_error(reply: aiosmtplib.SMTPResponseException) -> EmailRefused | EmailDeferred:
    text = f"{reply.code} {reply.message}"
    if reply.code in _PERMANENT:
        return EmailRefused(f"the SMTP server refused the e-mail: {text}")
    return EmailDeferred(text)
