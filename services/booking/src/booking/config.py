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
    pool_size: int = Field(default=10, gt=0)
