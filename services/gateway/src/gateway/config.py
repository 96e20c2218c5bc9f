"""The gateway's settings, from the environment."""

import os

from goticket_platform.settings import ServiceSettings, host_and_port
from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from gateway.http.middleware import MAX_IN_FLIGHT

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


class GatewaySettings(ServiceSettings):
    """Settings of `gateway serve`; every variable starts with GATEWAY_."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, extra="ignore")

    listen: str
    """"host:port" of the public API; port 0 takes any free one."""
    identity_target: str
    catalog_target: str
    booking_target: str
    redis_url: str = Field(repr=False)
    amqp_url: str = Field(repr=False)
    """RabbitMQ, for the catalog's messages, which invalidate caches. It is not needed for
    readiness."""
    issuer: str
    """`iss` that access tokens must carry."""
    audience: str
    """`aud` that access tokens must carry."""
    cors_origins: str = ""
    """Origins whose pages may call the API, comma-separated; "*" for all."""
    max_body_bytes: int = Field(default=64 * KIBIBYTE, ge=KIBIBYTE)
    """Size of the largest request body that is accepted."""
    max_in_flight: int = Field(default=MAX_IN_FLIGHT, ge=1)
    """Requests that each process handles at once; more are rejected as "busy". Bookings, which
    have a bound of their own, and probes do not count."""
    cache_bytes: int = Field(default=64 * MEBIBYTE, ge=32 * MEBIBYTE)
    """Memory of all caches of each process together. The least recently used entries make
    room for new ones."""
    workers: int = Field(default=0, ge=0, le=64)
    """Processes behind the port; 0 for one per core. With several, the ports after that of
    `metrics_listen` have to be free: worker n has its operations port n further."""
    batching: bool = True
    """Send concurrent bookings, and concurrent reads of a kind, in one call to booking; false
    sends each in its own call."""
    public_metrics: bool = False
    """Serve /metrics on the public port too. In production it has a port of its own."""
    reuse_port: bool = False
    """Share the port with other processes; set by the parent of several workers."""

    @field_validator("listen", "metrics_listen")
    @classmethod
    def _is_host_and_port(cls, value: str) -> str:
        host_and_port(value)
        return value

    @property
    def processes(self) -> int:
        """`workers`, or the cores that this process may use."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def origins(self) -> tuple[str, ...]:
        """`cors_origins`, split."""
        return tuple(part.strip() for part in self.cors_origins.split(",") if part.strip())
