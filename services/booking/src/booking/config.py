"""Settings of booking's processes, from environment variables named BOOKING_…"""

from goticket_contracts.topology import EVENT_LOG_DAYS
from goticket_platform.settings import Ed25519Key, Ed25519Keys, ServiceSettings
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

MIN_TOKEN_LENGTH = 32


class DatabaseSettings(ServiceSettings):
    """Settings of `booking migrate`."""

    model_config = SettingsConfigDict(env_prefix="BOOKING_", frozen=True)

    database_url: str = Field(repr=False)


class BrokerSettings(ServiceSettings):
    """Settings of `booking dead-letters`."""

    model_config = SettingsConfigDict(env_prefix="BOOKING_", frozen=True)

    amqp_url: str = Field(repr=False)


class RelaySettings(DatabaseSettings, BrokerSettings):
    """Settings of the relay."""


class WorkerSettings(RelaySettings):
    """Settings of the consumer of the catalog's messages."""

    redis_url: str = Field(repr=False)
    inbox_days: int = Field(default=30, gt=EVENT_LOG_DAYS)
    """Days that a message id is kept; longer than dead letters wait for a replay, and longer than
    the event log can deliver a message again."""


class SweeperSettings(DatabaseSettings):
    """Settings of the sweeper."""

    redis_url: str = Field(repr=False)
    catalog_target: str


class ServeSettings(SweeperSettings):
    """Settings of the server. Retired keys are public keys, newest first, joined by commas."""

    grpc_listen: str
    ticket_key: Ed25519Key = Field(repr=False)
    retired_ticket_keys: Ed25519Keys = ()
    notification_token: SecretStr = Field(min_length=MIN_TOKEN_LENGTH)
    """Shared with the notification service, which alone may call NotificationDataService."""
    hold_seconds: int = Field(default=600, gt=0)
    """Seconds after which a hold expires."""
    hold_extension_seconds: int = Field(default=600, gt=0)
    """Seconds by which a hold is extended, once, when its buyer starts to pay."""
    max_holds_per_buyer: int = Field(default=3, ge=0)
    """Most holds of one buyer per event at a time; 0 means no limit."""
    pool_size: int = Field(default=10, gt=0)
    """Connections for everything except creation in batches."""
    batching: bool = True
    """Decide many commands in one transaction; false decides each in its own."""
    batch_pool_size: int = Field(default=4, gt=0)
    """Connections for creating bookings, and most batches that commit at the same time."""
    batch_size: int = Field(default=256, gt=0)
    """Most commands in one transaction."""
    solo_threshold: int = Field(default=32, gt=0)
    """Number of waiting commands at which an event gets transactions of its own; 1 for always."""
    queue_per_event: int = Field(default=2_048, gt=0)
    """Most commands that wait for one event."""
    queue_total: int = Field(default=8_192, gt=0)
    """Most commands that wait for all events together."""
