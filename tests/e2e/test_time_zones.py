"""Every process and every document uses the rules of one release of the time zone database."""
# ruff: noqa: RUF001 - the en dash is meant

import email
import email.policy
import io
import json
from datetime import UTC, datetime
from email.message import EmailMessage

import httpx
import pypdfium2
import vobject
from goticket_documents.times import date_text
from goticket_kernel.time_zones import TIME_ZONE_DATA
from goticket_testing.clients import (
    ApiUser,
    Mailbox,
    create_booking,
    create_event,
    eventually,
)
from goticket_testing.stack import RunningStack

# tzdata 2026: the clocks of British Columbia no longer go back. Older rules give 19:00.
YEAR = datetime.now(UTC).year + 1
VANCOUVER = {
    "timezone": "America/Vancouver",
    "startAt": f"{YEAR}-01-15T03:00:00Z",
    "endAt": f"{YEAR}-01-15T05:00:00Z",
}
DATE = date_text(datetime(YEAR, 1, 14, tzinfo=UTC))
HOURS = "20:00 – 22:00"
ZONE = "America/Vancouver, MST, UTC-07:00"


def text_of(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(io.BytesIO(pdf)) as document:
        return " ".join(document[0].get_textpage().get_text_bounded().split())


async def test_every_process_logs_the_release_at_its_start(
    stack: RunningStack, api: httpx.AsyncClient
) -> None:
    assert (await api.get("/health")).json()["timeZoneData"] == TIME_ZONE_DATA
    for name in stack.process_configs:
        log = stack.process(name).log.read_text()
        entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        releases = {
            entry["time_zone_data"] for entry in entries if entry.get("event") == "starting"
        }
        assert releases == {TIME_ZONE_DATA}, name


async def test_mail_pdf_download_and_calendar_have_the_present_local_time(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser, mailbox: Mailbox
) -> None:
    event = await create_event(api, organizer, **VANCOUVER)
    booking = (await create_booking(api, buyer, event["id"])).json()
    download = await api.get(
        f"/api/v1/tickets/{booking['tickets'][0]['id']}/ticket.pdf", headers=buyer.headers
    )
    (mail,) = await eventually(lambda: mailbox.messages_to(buyer.email))
    message = email.message_from_bytes(await mailbox.raw(mail["ID"]), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    files = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
    calendar = files["event.ics"]
    text = calendar.decode() if isinstance(calendar, bytes) else calendar
    (entry,) = vobject.readOne(text).vevent_list
    written = [
        message.get_body(("plain",)).get_content(),  # type: ignore[union-attr]  # it has one
        message.get_body(("html",)).get_content(),  # type: ignore[union-attr]  # it has one
        text_of(files["ticket-1.pdf"]),
        text_of(download.content),
        entry.description.value,
    ]
    for place, content in enumerate(written):
        assert HOURS in content, place
        assert ZONE in content, place
        assert DATE in content, place
