"""Settings of notification's processes, from environment variables named NOTIFICATION_…"""

from contextlib import suppress
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses
from typing import Annotated, Self

from goticket_platform.settings import ServiceSettings
from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from notification.mail_server import Tls


def sender_address(text: str) -> Address:
    """Parse a mailbox such as "GoTicket <tickets@goticket.example>".

    Raises:
        ValueError: it is not exactly one mailbox with a domain.
    """
    mailboxes = getaddresses([text]) if text.isprintable() else []
    if len(mailboxes) == 1:
        name, spec = mailboxes[0]
        with suppress(ValueError, IndexError, MessageError):
            address = Address(display_name=name, addr_spec=spec)
            if address.username and address.domain:
                return address
    raise ValueError('must be a mailbox such as "GoTicket <tickets@goticket.example>"')


def _sender(text: str) -> str:
    sender_address(text)
    return text


class DatabaseSettings(ServiceSettings):
    """What a migration needs."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATION_", frozen=True)

    database_url: str = Field(repr=False)


class BrokerSettings(ServiceSettings):
    """What looking after dead letters needs."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATION_", frozen=True)

    amqp_url: str = Field(repr=False)


class WorkerSettings(DatabaseSettings, BrokerSettings):
    """What the worker needs."""

    smtp_host: str
    smtp_port: int = Field(ge=1, le=65535)
    smtp_tls: Tls = Tls.STARTTLS
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    sender: Annotated[str, AfterValidator(_sender)]
    public_url: str = Field(pattern=r"^https?://[^\s<>\"]+$")
    concurrency: int = Field(default=16, ge=1, le=100)
    """Letters on their way at once; each takes one database and one SMTP connection."""

    inbox_days: int = Field(default=30, ge=1)
    """How long a told event is remembered; longer than dead letters wait to be replayed."""

    @model_validator(mode="after")
    def _login_is_whole_and_protected(self) -> Self:
        if bool(self.smtp_username) != bool(self.smtp_password):
            raise ValueError("SMTP_USERNAME and SMTP_PASSWORD come together or not at all")
        if self.smtp_username and self.smtp_tls is Tls.NONE:
            raise ValueError("SMTP_TLS=none would send SMTP_PASSWORD in the clear")
        return self
