"""The operations port tells whether the process lives, is ready, and how it does."""

import json
import urllib.error
import urllib.request
from asyncio import to_thread

from goticket_platform.ops import Health, serve_ops


def fetch(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


async def test_it_is_live_before_it_is_ready() -> None:
    health = Health()
    async with serve_ops("127.0.0.1:0", health) as port:
        assert (await to_thread(fetch, port, "/livez"))[0] == 200
        assert (await to_thread(fetch, port, "/readyz"))[0] == 503
        health.ready = True
        assert (await to_thread(fetch, port, "/readyz"))[0] == 200


async def test_a_failing_check_is_named() -> None:
    health = Health()
    health.ready = True

    async def broken() -> None:
        raise ConnectionRefusedError

    health.add_check("postgres", broken)
    async with serve_ops("127.0.0.1:0", health) as port:
        status, body = await to_thread(fetch, port, "/readyz")
    assert status == 503
    assert json.loads(body)["failing"] == {"postgres": "ConnectionRefusedError"}


async def test_metrics_are_served_and_other_paths_are_not() -> None:
    async with serve_ops("127.0.0.1:0", Health()) as port:
        status, body = await to_thread(fetch, port, "/metrics")
        assert status == 200
        assert b"python_info" in body
        assert (await to_thread(fetch, port, "/"))[0] == 404
