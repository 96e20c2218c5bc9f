"""The services behind the gateway: one small client each, deadlines on every call."""

from dataclasses import dataclass
from typing import Any

import grpc
from goticket_platform.rpc.client import call
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.clients.booking import BookingClient
from gateway.clients.catalog import CatalogClient
from gateway.clients.identity import IdentityClient

HEALTH_SECONDS = 1.0
"""Deadline of a question for a backend's health."""


@dataclass(frozen=True)
class Backends:
    """Every service the gateway talks to."""

    identity: IdentityClient
    catalog: CatalogClient
    booking: BookingClient


async def is_serving(channel: grpc.aio.Channel) -> bool:
    """Ask the service whether it is ready, which includes its database.

    Raises:
        RemoteError: it cannot be reached.
    """
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = await call(stub.Check, health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS)
    serving: bool = answer.status == health_pb2.HealthCheckResponse.SERVING
    return serving
