"""One table of routes and callers: every service decides by role and ownership."""

from dataclasses import dataclass

import httpx
import pytest
from goticket_testing.clients import ApiUser, ApiUserFactory, create_booking, create_event

CALLERS = (
    "anonymous",
    "customer",
    "buyer",
    "organizer",
    "buying_organizer",
    "other_organizer",
    "demoted",
    "admin",
)
"""`buyer` owns the booking. `buying_organizer` has bought a ticket of an event of her own; its
rows below are about that booking. `demoted` owns the event, and its token has no role."""

# Callers in the order of CALLERS. A draft that a caller may not see is 404, not 403. The admin of
# this test has no account: identity refuses a change of roles by an account that is no admin now.
TABLE = """
GET    /events/{event}                       200 200 200 200 200 200 200 200
GET    /events/{draft}                       404 404 404 200 200 404 404 200
PATCH  /events/{event}                       401 403 403 200 200 403 403 200
PATCH  /events/{draft}                       401 403 403 200 200 404 403 200
POST   /events                               401 403 403 201 201 201 403 201
GET    /events/{event}/bookings              401 403 403 200 200 403 403 200
GET    /events/{draft}/bookings              401 403 403 200 200 404 403 200
GET    /events/{event}/check-in-list         401 403 403 200 200 403 403 200
GET    /events/{draft}/check-in-list         401 403 403 200 200 404 403 200
GET    /events/{unknown}/check-in-list       401 403 403 404 404 404 403 404
GET    /bookings/{booking}                   401 403 200 200 200 403 403 200
GET    /bookings/{unknown}                   401 404 404 404 404 404 404 404
GET    /tickets/{ticket}                     401 403 200 200 200 403 403 200
GET    /tickets/{ticket}/qr.svg              401 403 200 403 200 403 403 403
GET    /tickets/{ticket}/ticket.pdf          401 403 200 403 200 403 403 403
POST   /bookings/{hold}/extend               401 403 200 403 200 403 403 200
POST   /bookings/{hold}/confirm              401 403 200 403 200 403 403 200
POST   /bookings/{booking}/cancel            401 403 200 200 200 403 403 200
PUT    /users/{user}/roles                   401 403 403 403 403 403 403 403
GET    /users?email=nobody@people.example    401 403 403 403 403 403 403 200
"""

SHOWS_CODES = {"buyer", "buying_organizer"}
"""Only the buyer of a ticket gets its code."""


@dataclass(frozen=True)
class Row:
    """What each caller gets from one route."""

    method: str
    path: str
    statuses: dict[str, int]


def _row(line: str) -> Row:
    method, path, *statuses = line.split()
    return Row(method, path, dict(zip(CALLERS, map(int, statuses), strict=True)))


ROWS = [_row(line) for line in TABLE.strip().splitlines()]


class World:
    """One event and one draft of an organizer, with bookings by the caller or by a buyer."""

    def __init__(self, api: httpx.AsyncClient, users: ApiUserFactory) -> None:
        self.api = api
        organizer, buyer = users.create("organizer"), users.create()
        demoted = users.create(sub=organizer.id)
        self.organizer = organizer
        self.callers: dict[str, ApiUser | None] = {
            "anonymous": None,
            "customer": users.create(),
            "buyer": buyer,
            "organizer": organizer,
            "buying_organizer": organizer,
            "other_organizer": users.create("organizer"),
            "demoted": demoted,
            "admin": users.create("admin"),
        }

    async def ids_for(self, caller: str) -> dict[str, str]:
        """Create fresh objects, and return the ids that a row names."""
        buyer = self.callers["buying_organizer" if caller == "buying_organizer" else "buyer"]
        assert buyer is not None
        event = await create_event(self.api, self.organizer)
        draft = await create_event(self.api, self.organizer, status="draft")
        booked = (await create_booking(self.api, buyer, event["id"], quantity=1)).json()
        hold = (await create_booking(self.api, buyer, event["id"], quantity=1, hold=True)).json()
        return {
            "event": event["id"],
            "draft": draft["id"],
            "booking": booked["id"],
            "ticket": booked["tickets"][0]["id"],
            "hold": hold["id"],
            "unknown": "0197c0de-7a11-7b00-8a00-00000000dead",
            "user": "0197c0de-7a11-7b00-8a00-00000000dead",
        }


def body_of(row: Row) -> dict[str, object] | None:
    """Return the body that a row's request needs."""
    if row.method == "PATCH":
        return {"name": "Renamed"}
    if row.path == "/events":
        return {
            "name": "New",
            "price": 0,
            "capacity": 1,
            "startAt": "2099-01-01T10:00:00Z",
            "endAt": "2099-01-01T11:00:00Z",
        }
    return {"roles": ["organizer"]} if row.path.endswith("/roles") else None


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_route_answers_every_caller_as_the_table_says(
    caller: str, api: httpx.AsyncClient, users: ApiUserFactory
) -> None:
    world = World(api, users)
    ids = await world.ids_for(caller)
    account = world.callers[caller]
    headers = account.headers if account else {}
    found, codes = {}, []
    for row in ROWS:
        path = "/api/v1" + row.path.format(**ids)
        answer = await api.request(row.method, path, headers=headers, json=body_of(row))
        found[row.method, row.path] = answer.status_code
        if row.method == "GET" and '"code":"' in answer.text.replace(" ", ""):
            codes.append(row.path)
    expected = {(row.method, row.path): row.statuses[caller] for row in ROWS}
    assert found == expected
    assert bool(codes) is (caller in SHOWS_CODES)
