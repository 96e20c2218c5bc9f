"""The gateway's settings, from the environment."""

import os
from dataclasses import fields

from goticket_platform.rpc.settings import RpcClientSettings
from goticket_platform.settings import host_and_port
from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from gateway.http.client_address import Network, parse_networks
from gateway.http.middleware import MAX_IN_FLIGHT
from gateway.rate_limits.policy import RateLimitPolicy, parse_limit

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
LIMIT_PREFIX = "limit_"
LIMITS = tuple(LIMIT_PREFIX + field.name for field in fields(RateLimitPolicy))


class GatewaySettings(RpcClientSettings):
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
    trusted_proxies: str = ""
    """Networks of the proxies whose X-Forwarded-For names the client, such as
    "10.0.0.0/8,fd00::/8". What other peers send in it is ignored."""
    limit_reads_per_address: str = "12000/60"
    """Requests of an address at each process, also those answered from a cache. This and the
    following limits are units/seconds: that many at once, refilled evenly in the time. An IPv6
    network of 64 bits counts as one address."""
    limit_requests_per_address: str = "12000/60"
    """Requests of an address that are not answered from a cache and have no limit of their
    own."""
    limit_requests_per_user: str = "3000/60"
    """The same of a user."""
    limit_bookings_per_address: str = "2400/60"
    """Bookings of an address; a stadium or an office may have a single one."""
    limit_bookings_per_user: str = "1200/60"
    """Bookings of a user, with the retries of a client that lost its answers. How many tickets a
    user gets is limited elsewhere."""
    limit_documents_per_address: str = "600/60"
    """Tickets drawn as PDF or QR code for an address."""
    limit_documents_per_user: str = "120/60"
    """The same for a user."""
    limit_sign_ups_per_address: str = "60/3600"
    """Accounts created from an address."""
    limit_failed_logins_per_address: str = "10/900"
    """Failed logins of an address."""
    limit_failed_logins_per_email: str = "5/900"
    """Failed logins with an e-mail address."""
    limit_unknown_routes_per_address: str = "10/900/3600"
    """Requests of an address that no route matches; one more blocks the address for the third
    number of seconds."""
    reuse_port: bool = False
    """Share the port with other processes; set by the parent of several workers."""

    @field_validator("listen", "metrics_listen")
    @classmethod
    def _is_host_and_port(cls, value: str) -> str:
        host_and_port(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _has_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @field_validator(*LIMITS)
    @classmethod
    def _is_limit(cls, value: str) -> str:
        parse_limit("setting", value)
        return value

    @property
    def proxies(self) -> tuple[Network, ...]:
        """`trusted_proxies`, parsed."""
        return parse_networks(self.trusted_proxies)

    @property
    def rate_limits(self) -> RateLimitPolicy:
        """The limits, parsed. A client sees their names."""
        return RateLimitPolicy(
            **{
                name.removeprefix(LIMIT_PREFIX): parse_limit(
                    name.removeprefix(LIMIT_PREFIX).replace("_", "-"), getattr(self, name)
                )
                for name in LIMITS
            }
        )

    @property
    def processes(self) -> int:
        """`workers`, or the cores that this process may use."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def origins(self) -> tuple[str, ...]:
        """`cors_origins`, split."""
        return tuple(part.strip() for part in self.cors_origins.split(",") if part.strip())
