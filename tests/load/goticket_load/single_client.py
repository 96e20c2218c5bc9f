"""One client that books through several paths in turn, request by request.

The speed of a machine changes from one second to the next by more than the paths differ.
Two consecutive requests meet nearly the same conditions.
"""

import http.client
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from goticket_testing.clients import ApiUser

BODY = json.dumps({"quantity": 1})


class Connection:
    """Creates one booking after another over one connection."""

    def __init__(self, url: str, event: str, buyer: ApiUser) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._path = f"/api/v1/events/{event}/bookings"
        self._headers = {**buyer.headers, "Content-Type": "application/json"}
        self.seconds: list[float] = []
        """The duration of each booking."""

    def book(self) -> None:
        """Create a booking.

        Raises:
            http.client.HTTPException: the connection failed.
            RuntimeError: the response was not a 201.
        """
        headers = {**self._headers, "Idempotency-Key": str(uuid.uuid4())}
        began = time.perf_counter()
        self._connection.request("POST", self._path, BODY, headers)
        response = self._connection.getresponse()
        body = response.read()
        seconds = time.perf_counter() - began
        if response.status != http.client.CREATED:
            raise RuntimeError(f"{response.status} instead of a booking: {body[:500]!r}")
        self.seconds.append(seconds)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def book_alternately(
    urls: Mapping[str, str], event: str, buyer: ApiUser, seconds: float
) -> dict[str, Sequence[float]]:
    """Return the durations of bookings by path; the order of the paths alternates."""
    connections = {path: Connection(url, event, buyer) for path, url in urls.items()}
    order = list(connections.values())
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for connection in order:
                connection.book()
            order.reverse()
    finally:
        for connection in order:
            connection.close()
    return {path: connection.seconds for path, connection in connections.items()}
