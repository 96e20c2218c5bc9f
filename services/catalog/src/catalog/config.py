"""Settings of the catalog's processes."""

from goticket_platform.rpc.settings import RpcClientSettings, RpcServerSettings
from goticket_platform.settings import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class CatalogSettings(ServiceSettings):
    """Settings of every catalog process, from variables named CATALOG_…"""

    model_config = SettingsConfigDict(env_prefix="CATALOG_", frozen=True, extra="ignore")

    database_url: str = Field(repr=False)


class ServeSettings(RpcServerSettings, RpcClientSettings, CatalogSettings):
    """Further settings of `catalog serve`. Targets and listeners are "host:port"."""

    booking_target: str


class RelaySettings(CatalogSettings):
    """Further settings of `catalog relay`."""

    amqp_url: str = Field(repr=False)
