"""Health on the public port: for people, load balancers and uptime checks."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Request, Response
from goticket_kernel.time_zones import TIME_ZONE_DATA
from goticket_platform.ops import Health
from goticket_platform.rpc.errors import RemoteError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from gateway.clients import is_serving
from gateway.http.openapi import problems
from gateway.http.problems import FieldProblem, Problem
from gateway.rest.dependencies import AllBackends

router = APIRouter(tags=["operations"])
metrics_router = APIRouter(tags=["operations"])


class Status(BaseModel):
    """Everything works."""

    status: Literal["ok"] = "ok"


class GatewayStatus(Status):
    """The gateway works."""

    time_zone_data: str = Field(
        default=TIME_ZONE_DATA,
        serialization_alias="timeZoneData",
        description="Release of the time zone rules, such as 2026f.",
    )


@router.get("/health", summary="Is the gateway up")
async def get_health() -> GatewayStatus:
    """Answers without a backend."""
    return GatewayStatus()


@router.get("/health/db", summary="Are the databases up", responses=problems("unavailable"))
async def get_database_health(backends: AllBackends) -> Status:
    """Every service with a database reports whether it can use it."""
    channels = {
        "identity": backends.identity.channel,
        "catalog": backends.catalog.channel,
        "booking": backends.booking.channel,
    }
    answers = await asyncio.gather(
        *(is_serving(channel) for channel in channels.values()), return_exceptions=True
    )
    down: list[FieldProblem] = []
    for name, answer in zip(channels, answers, strict=True):
        if isinstance(answer, BaseException) and not isinstance(answer, RemoteError):
            raise answer
        if answer is not True:
            down.append(FieldProblem(name, "Not ready."))
    if down:
        raise Problem("unavailable", errors=down)
    return Status()


@router.get("/livez", summary="Is the process alive")
async def get_liveness() -> Status:
    """For an orchestrator, which restarts a process that does not answer."""
    return Status()


@router.get("/readyz", summary="Does the process want traffic", responses=problems("unavailable"))
async def get_readiness(request: Request) -> Status:
    """For a load balancer: 503 while starting and stopping."""
    health: Health = request.app.state.components.health
    if not health.ready or await health.failures():
        raise Problem("unavailable")
    return Status()


@metrics_router.get("/metrics", summary="Metrics", include_in_schema=False)
async def get_metrics() -> Response:
    """The Prometheus text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
