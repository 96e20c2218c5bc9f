"""Settings of notification's processes, read from environment variables NOTIFICATION_*."""

from contextlib import suppress
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses
from typing import Annotated, Self

from goticket_contracts.topology import EVENT_LOG_DAYS
from goticket_platform.settings import ServiceSettings
from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from notification.smtp_client import Tls


def sender_address(text: str) -> Address:
    """Parse a mailbox such as "GoTicket <tickets@goticket.example>".

    Raises:
        ValueError: the text is not exactly one mailbox with a domain.
    """
    mailboxes = getaddresses([text]) if text.isprintable() else []
    if len(mailboxes) == 1:
        name, spec = mailboxes[0]
        with suppress(ValueError, IndexError, MessageError):
            local, _, domain = spec.rpartition("@")
            # An ASCII address, because its domain is also a part of every Message-ID.
            ascii_domain = domain.encode("idna").decode("ascii")
            address = Address(display_name=name, addr_spec=f"{local}@{ascii_domain}")
            if address.username.isascii() and address.username and address.domain:
                return address
    raise ValueError('must be a mailbox such as "GoTicket <tickets@goticket.example>"')


def _sender(text: str) -> str:
    sender_address(text)
    return text


class DatabaseSettings(ServiceSettings):
    """Settings of migrations."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATION_", frozen=True)

    database_url: str = Field(repr=False)


class BrokerSettings(ServiceSettings):
    """Settings of the dead-letter commands."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATION_", frozen=True)

    amqp_url: str = Field(repr=False)


class WorkerSettings(DatabaseSettings, BrokerSettings):
    """Settings of the worker."""

    booking_target: str = Field(min_length=1)
    """Address "host:port" of booking's gRPC server."""

    booking_token: SecretStr = Field(min_length=32)
    """Token that booking's NotificationDataService requires."""

    smtp_host: str
    smtp_port: int = Field(ge=1, le=65535)
    smtp_tls: Tls = Tls.STARTTLS
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    sender: Annotated[str, AfterValidator(_sender)]
    public_url: str = Field(pattern=r"^https?://[^\s<>\"]+$")
    concurrency: int = Field(default=8, ge=1, le=100)
    """SMTP connections for e-mails with few tickets. A crash may repeat one e-mail on each."""

    large_concurrency: int = Field(default=2, ge=1, le=100)
    """SMTP connections for e-mails with many tickets."""

    change_concurrency: int = Field(default=2, ge=1, le=100)
    """SMTP connections for e-mails about changes of events."""

    change_window_seconds: float = Field(default=60.0, ge=0, le=3600)
    """A change of an event is announced this long after the last one of a series."""

    change_limit_seconds: float = Field(default=600.0, ge=0, le=86_400)
    """A change is announced at most this long after the first one of a series."""

    attempt_seconds: float = Field(default=30.0, ge=1, le=50)
    """Longest SMTP dialogue of one e-mail. After a crash, an e-mail in transit is sent again only
    this much later."""

    delivery_days: int = Field(default=30, gt=EVENT_LOG_DAYS)
    """Retention of finished deliveries; longer than dead letters wait for a replay, and longer
    than the event log can deliver a message again."""

    @property
    def smtp_connections(self) -> int:
        """Most SMTP connections, and most e-mails that a crash may repeat."""
        return self.concurrency + self.large_concurrency + self.change_concurrency

    @model_validator(mode="after")
    def _login_is_complete_and_encrypted(self) -> Self:
        if bool(self.smtp_username) != bool(self.smtp_password):
            raise ValueError("SMTP_USERNAME and SMTP_PASSWORD must be set together")
        if self.smtp_username and self.smtp_tls is Tls.NONE:
            raise ValueError("SMTP_TLS=none would send SMTP_PASSWORD unencrypted")
        return self
