"""One buyer at a time, on several paths in turns, request by request.

From one second to the next a machine's pace changes by more than what the paths differ by;
what two requests in a row meet is nearly the same.
"""

import http.client
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from goticket_testing.world import Person

BODY = json.dumps({"quantity": 1})


class Buyer:
    """Books one ticket after the other over one connection."""

    def __init__(self, url: str, event: str, person: Person) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._path = f"/api/v1/events/{event}/bookings"
        self._headers = {**person.headers, "Content-Type": "application/json"}
        self.seconds: list[float] = []
        """How long each booking took."""

    def book(self) -> None:
        """Book. Raises `http.client.HTTPException`, or `RuntimeError` for anything but a 201."""
        headers = {**self._headers, "Idempotency-Key": str(uuid.uuid4())}
        begun = time.perf_counter()
        self._connection.request("POST", self._path, BODY, headers)
        answer = self._connection.getresponse()
        told = answer.read()
        took = time.perf_counter() - begun
        if answer.status != http.client.CREATED:
            raise RuntimeError(f"{answer.status} instead of a booking: {told[:500]!r}")
        self.seconds.append(took)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def in_turns(
    urls: Mapping[str, str], event: str, person: Person, seconds: float
) -> dict[str, Sequence[float]]:
    """The seconds that each booking took on each path; who goes first changes every turn."""
    buyers = {path: Buyer(url, event, person) for path, url in urls.items()}
    order = list(buyers.values())
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for buyer in order:
                buyer.book()
            order.reverse()
    finally:
        for buyer in order:
            buyer.close()
    return {path: buyer.seconds for path, buyer in buyers.items()}
