"""Settings of the catalog's processes."""

from goticket_platform.settings import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class CatalogSettings(ServiceSettings):
    """What every catalog process needs: CATALOG_DATABASE_URL."""

    model_config = SettingsConfigDict(env_prefix="CATALOG_", frozen=True, extra="ignore")

    database_url: str = Field(repr=False)


class ServeSettings(CatalogSettings):
    """What `catalog serve` needs besides; targets and listeners are "host:port"."""

    grpc_listen: str
    booking_target: str


class RelaySettings(CatalogSettings):
    """What `catalog relay` needs besides."""

    amqp_url: str = Field(repr=False)
