"""Settings of booking's processes, from environment variables named BOOKING_…"""

from goticket_platform.settings import Ed25519Key, Ed25519Keys, ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class DatabaseSettings(ServiceSettings):
    """What a migration needs."""

    model_config = SettingsConfigDict(env_prefix="BOOKING_", frozen=True)

    database_url: str = Field(repr=False)


class BrokerSettings(ServiceSettings):
    """What looking after dead letters needs."""

    model_config = SettingsConfigDict(env_prefix="BOOKING_", frozen=True)

    amqp_url: str = Field(repr=False)


class RelaySettings(DatabaseSettings, BrokerSettings):
    """What the relay needs."""


class WorkerSettings(RelaySettings):
    """What the consumer of the catalog's events needs."""

    redis_url: str = Field(repr=False)
    inbox_days: int = Field(default=30, ge=1)
    """How long a handled message is remembered; longer than dead letters wait to be replayed."""


class SweeperSettings(DatabaseSettings):
    """What the sweeper needs."""

    redis_url: str = Field(repr=False)
    catalog_target: str


class ServeSettings(SweeperSettings):
    """What the server needs. Retired keys are public keys, newest first, joined by commas."""

    grpc_listen: str
    ticket_key: Ed25519Key = Field(repr=False)
    retired_ticket_keys: Ed25519Keys = ()
    hold_seconds: int = Field(default=600, gt=0)
    hold_extension_seconds: int = Field(default=600, gt=0)
    """By how much a hold is lengthened, once, when its buyer starts to pay."""
    max_holds_per_buyer: int = Field(default=3, ge=0)
    """Most holds of one buyer per event at a time; 0 means no limit."""
    pool_size: int = Field(default=10, gt=0)
    """Connections for reads, cancellations and the rest."""
    batching: bool = True
    """Decide many booking requests in one transaction; false decides each in its own."""
    batch_pool_size: int = Field(default=4, gt=0)
    """Connections for creating bookings, and most batches that commit at the same time."""
    batch_size: int = Field(default=256, gt=0)
    """Most requests in one transaction."""
    solo_threshold: int = Field(default=32, gt=0)
    """Waiting requests with which an event gets transactions of its own; 1 for always."""
    queue_per_event: int = Field(default=2_048, gt=0)
    """Most requests that wait for one event."""
    queue_total: int = Field(default=8_192, gt=0)
    """Most requests that wait for all events together."""
