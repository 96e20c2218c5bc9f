"""The public keys of access tokens, fetched from identity and kept."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import jwt
from goticket_platform.logs import get_logger
from goticket_platform.rpc.errors import RemoteError

REFRESH_SECONDS = 3.0
"""Shortest time between two fetches, whatever key ids clients make up."""
RETRY_SECONDS = 0.5
"""The same while no key was ever fetched: requests get "unavailable" in between."""

logger = get_logger(__name__)


class KeyRing:
    """Key ids and keys. An unknown id is fetched from identity; old keys outlive its outage.

    `fetch` returns a JSON Web Key Set as text, `clock` monotonic seconds.
    """

    def __init__(self, fetch: Callable[[], Awaitable[str]], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._document: dict[str, Any] | None = None
        self._failure: tuple[grpc.StatusCode, str, str] | None = None
        self._fetched_at = -math.inf
        self._fetching = asyncio.Lock()

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """Return the key with this id, or None for an unknown id.

        Raises:
            RemoteError: no key was ever fetched and identity is unavailable.
        """
        if kid not in self._keys:
            await self.refresh()
        return self._keys.get(kid)

    async def document(self) -> dict[str, Any]:
        """Return the key set as published.

        Raises:
            RemoteError: it was never fetched and identity is unavailable.
        """
        if self._document is None or self._age() > REFRESH_SECONDS:
            await self.refresh()
        return self._document or {"keys": []}

    async def refresh(self) -> None:
        """Fetch the keys, unless that was just tried; after a failure the old ones stay.

        Raises:
            RemoteError: identity is unavailable and there are no old keys.
        """
        # The lock makes concurrent requests with a new key wait for one fetch.
        async with self._fetching:
            pause = RETRY_SECONDS if self._document is None else REFRESH_SECONDS
            if self._age() >= pause:
                await self._fetch_once()
            if self._document is None and self._failure is not None:
                raise RemoteError(*self._failure)

    async def _fetch_once(self) -> None:
        try:
            document = json.loads(await self._fetch())
        except RemoteError as error:
            logger.warning("keys not fetched", code=error.code)
            self._failure = (error.status, error.code, error.message)
        else:
            self._keys = {
                key.key_id: key for key in jwt.PyJWKSet.from_dict(document).keys if key.key_id
            }
            self._document = document
        self._fetched_at = self._clock()

    def _age(self) -> float:
        return self._clock() - self._fetched_at
