"""Names, addresses, passwords and searches in any script, through the public door."""

import httpx
from goticket_testing.clients import (
    ApiUser,
    Mailbox,
    create_booking,
    create_event,
    eventually,
    in_days,
)

API = "/api/v1"
SECOND = 1 / 86400


async def names_in(api: httpx.AsyncClient, **query: str) -> list[str]:
    answer = await api.get(f"{API}/events", params={"limit": "100", **query})
    assert answer.status_code == 200, answer.text
    return [event["name"] for event in answer.json()["items"]]


async def test_an_address_and_a_password_are_the_same_however_they_are_typed(
    api: httpx.AsyncClient, organizer: ApiUser, mailbox: Mailbox
) -> None:
    account = {
        "email": " Ann@B\u00dcCHER.example ",
        "password": "caf\u00e9 cr\u00e8me",
        "name": "Ann \u0141\u00f3d\u017a",
    }
    created = await api.post(f"{API}/auth/register", json=account)
    assert created.status_code == 201, created.text
    assert created.json()["email"] == "ann@xn--bcher-kva.example"
    again = await api.post(
        f"{API}/auth/register", json=account | {"email": "ann@xn--bcher-kva.example"}
    )
    assert (again.status_code, again.json()["error"]) == (409, "email_taken")

    login = await api.post(
        f"{API}/auth/login",
        json={"email": "ann@bu\u0308cher.example", "password": "cafe\u0301 cre\u0300me"},
    )
    assert login.status_code == 200, login.text
    event = await create_event(api, organizer)
    booked = await api.post(
        f"{API}/events/{event['id']}/bookings",
        json={"quantity": 1},
        headers={"Authorization": f"Bearer {login.json()['accessToken']}"},
    )
    assert booked.status_code == 201, booked.text

    async def mailed() -> bool:
        return bool(await mailbox.messages_to("ann@xn--bcher-kva.example"))

    assert await eventually(mailed)


async def test_an_address_is_refused_in_words(api: httpx.AsyncClient) -> None:
    account = {"email": "ann@b..example", "password": "long enough", "name": "Ann"}
    answer = await api.post(f"{API}/auth/register", json=account)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "email"
    assert error["message"].startswith("is not an e-mail address.")


async def test_a_part_of_a_name_without_spaces_is_found(
    api: httpx.AsyncClient, organizer: ApiUser
) -> None:
    name = "2027\u5468\u6770\u4f26\u6f14\u5531\u4f1a!!!"
    await create_event(api, organizer, name=name)
    for part in ("\u5468\u6770\u4f26", "\u5468\u6770", "\u5468", "!!!", "2027"):

        async def found(part: str = part) -> bool:
            return name in await names_in(api, q=part)

        assert await eventually(found)


async def test_an_event_leaves_the_list_when_it_ends(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser
) -> None:
    name = "Over in a moment"
    start = in_days(2 * SECOND)
    event = await create_event(api, organizer, name=name, startAt=start, endAt=in_days(3 * SECOND))
    assert (await create_booking(api, buyer, event["id"])).status_code == 201

    async def ended() -> bool:
        return name in await names_in(api, status="ended") and name not in await names_in(api)

    assert await eventually(ended)
    assert name not in await names_in(api, q="moment")
    assert name in await names_in(api, **{"from": start})
