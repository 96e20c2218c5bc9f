"""The check-in list: pages of booking become one document."""

from collections.abc import Callable

import httpx
from gateway.rest.check_in.streaming import PAGE_SIZE
from goticket.booking.v1 import booking_pb2 as pb
from goticket_testing.scripted import ScriptedBackends

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
URL = f"/api/v1/events/{EVENT}/check-in-list"
VERSION = 10_000

Bearer = Callable[..., dict[str, str]]


def script(backends: ScriptedBackends, tickets: int) -> None:
    """Let booking have so many valid tickets, and one void ticket."""

    def page(request: pb.ListCheckInTicketsRequest) -> pb.ListCheckInTicketsResponse:
        first = int(request.after_ticket_id or 0) + 1
        numbers = range(first, tickets + 1)[: request.limit]
        if request.status == pb.TICKET_STATUS_VOID:
            numbers = range(tickets + 1, tickets + 2)
        if request.status == pb.TICKET_STATUS_CHECKED_IN:
            numbers = range(0)
        return pb.ListCheckInTicketsResponse(
            tickets=[
                pb.CheckInTicket(
                    id=str(number), holder_name="Ada", status=request.status, version=number
                )
                for number in numbers
            ]
        )

    backends.answers |= {
        "GetCheckInVersion": pb.GetCheckInVersionResponse(version=VERSION),
        "ListTicketKeys": pb.ListTicketKeysResponse(
            keys=[pb.TicketKey(key_id="ABCD1234", public_key=bytes(32))]
        ),
        "ListCheckInTickets": page,
    }


async def test_a_list_of_several_pages_has_each_ticket_once(
    client: httpx.AsyncClient, bearer: Bearer, backends: ScriptedBackends
) -> None:
    script(backends, 2 * PAGE_SIZE + 1)
    answer = await client.get(URL, headers=bearer("organizer"))
    body = answer.json()
    assert [int(ticket["id"]) for ticket in body["valid"]] == list(range(1, 2 * PAGE_SIZE + 2))
    assert [ticket["status"] for ticket in body["void"]] == ["void"]
    assert body["version"] == VERSION
    assert body["publicKeys"][0]["kid"] == "ABCD1234"
    assert answer.headers["Cache-Control"] == "private, no-cache"


async def test_a_device_with_the_current_version_costs_no_page(
    client: httpx.AsyncClient, bearer: Bearer, backends: ScriptedBackends
) -> None:
    script(backends, 1)
    del backends.answers["ListCheckInTickets"]
    headers = bearer("organizer")
    answer = await client.get(f"{URL}?since={VERSION}", headers=headers)
    assert (answer.json()["valid"], answer.json()["void"]) == ([], [])
    again = {**headers, "If-None-Match": answer.headers["ETag"]}
    assert (await client.get(URL, headers=again)).status_code == 304


async def test_a_version_that_does_not_exist_yet_gets_the_whole_list(
    client: httpx.AsyncClient, bearer: Bearer, backends: ScriptedBackends
) -> None:
    script(backends, 3)
    answer = await client.get(f"{URL}?since={VERSION + 1}", headers=bearer("admin"))
    assert len(answer.json()["valid"]) == 3


async def test_since_is_a_version(client: httpx.AsyncClient, bearer: Bearer) -> None:
    for since in ("-1", "abc", "1.5", str(2**63)):
        answer = await client.get(f"{URL}?since={since}", headers=bearer("organizer"))
        assert (answer.status_code, answer.json()["error"]) == (422, "validation_failed")
