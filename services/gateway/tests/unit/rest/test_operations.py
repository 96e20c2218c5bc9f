"""Health, readiness, metrics and the documentation pages."""

import re

import httpx
import pytest
from fastapi import FastAPI
from gateway.bootstrap import open_components
from gateway.config import GatewaySettings
from gateway.http.app import create_app
from goticket_kernel.time_zones import TIME_ZONE_DATA
from goticket_testing.scripted import ScriptedBackends


async def test_health_calls_no_backend(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    for path, detail in (
        ("/health", {"timeZoneData": TIME_ZONE_DATA}),
        ("/livez", {}),
        ("/readyz", {}),
    ):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok", **detail})
    assert backends.was_not_called()


async def test_a_gateway_that_stops_is_not_ready_and_still_alive(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    app.state.components.health.ready = False
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
    assert (await client.get("/livez")).status_code == 200


async def test_database_health_is_that_of_the_services(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/db")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_database_health_names_unavailable_backends(settings: GatewaySettings) -> None:
    dead = settings.model_copy(update={"catalog_target": "127.0.0.1:1"})
    async with open_components(dead) as parts:
        transport = httpx.ASGITransport(create_app(parts, max_body_bytes=1000))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            answer = await client.get("/health/db")
            assert answer.status_code == 503
            assert [item["field"] for item in answer.json()["errors"]] == ["catalog"]
            for path in ("/api/v1/events", "/api/v1/events/0197c0de-7a11-7b00-8a00-0000000000e1"):
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
                assert answer.headers["Retry-After"] in {"1", "2", "3"}
                assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize(("public", "status"), [(False, 404), (True, 200)])
async def test_metrics_are_public_only_when_configured(
    settings: GatewaySettings, public: bool, status: int
) -> None:
    async with open_components(settings) as parts:
        app = create_app(parts, max_body_bytes=1000, public_metrics=public)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            await client.get("/health")
            answer = await client.get("/metrics")
    assert answer.status_code == status
    assert (
        b'goticket_http_requests_total{method="GET",route="/health"' in answer.content
    ) is public


async def test_the_docs_page_loads_only_files_of_the_gateway(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    links = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(links) == 4
    for link in links:
        assert link.startswith("/docs/")
        asset = await client.get(link)
        assert asset.status_code == 200
        assert "Content-Security-Policy" in asset.headers
    assert "<script>" not in page.text  # the policy allows no inline script
    script = (await client.get("/docs/docs.js")).text
    assert 'url: "/openapi.json"' in script
    assert "http://" not in script + page.text
    assert "https://" not in script + page.text


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapp.py", "swagger-ui.js.map"])
async def test_the_docs_have_no_other_files(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/docs/{name}")).status_code == 404
