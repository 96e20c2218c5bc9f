"""Rendered e-mails, parsed again as a mail client does."""

from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from uuid import UUID

import pypdfium2
import pytest
import zxingcpp
from goticket_documents.money import Money
from goticket_documents.sanitize import sanitize_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notification.bookings import Booking, Notification, NotificationKind
from notification.email_rendering import Email, InvalidRecipient, SenderProfile, render_email

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
MESSAGE_ID = UUID("0198c2f0-0000-7000-8000-000000000001")
PROFILE = SenderProfile(
    Address("GoTicket", "tickets", "goticket.example"), "https://goticket.example"
)
MakeBooking = Callable[..., Booking]


def email_about(
    booking: Booking, kind: NotificationKind = NotificationKind.TICKETS, reason: str = ""
) -> Email:
    return render_email(PROFILE, Notification(kind, booking, reason), MESSAGE_ID, NOW)


def parsed(email: Email) -> EmailMessage:
    message = message_from_bytes(email.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def bodies(message: EmailMessage) -> tuple[str, str]:
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


def attachments(message: EmailMessage) -> dict[str, EmailMessage]:
    return {part.get_filename() or "": part for part in message.iter_attachments()}


def test_an_email_has_one_pdf_per_ticket_and_a_calendar_file(
    make_booking: MakeBooking,
) -> None:
    booking = make_booking(tickets=12)

    files = attachments(parsed(email_about(booking)))

    expected = [f"ticket-{number}.pdf" for number in range(1, 13)]
    assert list(files) == [*expected, "event.ics"]
    assert files["event.ics"].get_content_type() == "text/calendar"
    assert files["event.ics"].get_param("method") == "PUBLISH"
    for ticket in booking.tickets:
        part = files[f"ticket-{ticket.number}.pdf"]
        assert part.get_content_type() == "application/pdf"
        document = pypdfium2.PdfDocument(part.get_content())
        image = document[0].render(scale=2).to_pil()
        document.close()
        assert [found.text for found in zxingcpp.read_barcodes(image)] == [ticket.code]


def test_each_pdf_has_its_ticket_and_its_booking(make_booking: MakeBooking) -> None:
    booking = make_booking(ticket_type="Balcony", price=Money(9800, "JPY"), zone="Asia/Tokyo")

    files = attachments(parsed(email_about(booking)))

    with pypdfium2.PdfDocument(files["ticket-2.pdf"].get_content()) as document:
        text = " ".join(document[0].get_textpage().get_text_bounded().split())
    for expected in (
        booking.event.name,
        booking.event.place,
        "Sunday, 13 June 2027",
        "02:30 \N{EN DASH} 06:00",
        "Asia/Tokyo, JST, UTC+09:00",
        "Ada Lovelace",
        "Balcony",
        "JPY 9,800",
        "Ticket 2 of 2",
        str(booking.id),
        str(booking.tickets[1].id),
    ):
        assert expected in text


def test_the_headers_name_sender_and_recipient(make_booking: MakeBooking) -> None:
    email = email_about(make_booking())
    message = parsed(email)

    assert (email.sender, email.recipient) == ("tickets@goticket.example", "ada@buyers.example")
    assert message["From"] == "GoTicket <tickets@goticket.example>"
    assert message["To"] == "Ada Lovelace <ada@buyers.example>"
    assert message["Subject"] == "Your tickets for Metallica Live"
    assert message["Date"].datetime == NOW
    assert message["Auto-Submitted"] == "auto-generated"


def test_every_attempt_has_the_same_message_id(
    make_booking: MakeBooking,
) -> None:
    first, second = email_about(make_booking()), email_about(make_booking())

    assert first.smtp_message_id == second.smtp_message_id == f"<{MESSAGE_ID}@goticket.example>"
    assert parsed(first)["Message-ID"] == first.smtp_message_id


def test_text_and_html_have_the_same_content(make_booking: MakeBooking) -> None:
    booking = make_booking(tickets=2, price=Money(9800, "JPY"))

    for body in bodies(parsed(email_about(booking))):
        for expected in (
            "Ada Lovelace",
            "Metallica Live",
            "Saturday, 12 June 2027",
            "19:30",
            "Europe/Berlin, CEST, UTC+02:00",
            "Olympiastadion, Berlin",
            "General Admission",
            "JPY 19,600",
            "2 tickets",
            str(booking.id),
            "https://goticket.example",
        ):
            assert expected in body


def test_sentences_start_with_a_capital_letter(make_booking: MakeBooking) -> None:
    for kind in NotificationKind:
        text, html = bodies(parsed(email_about(make_booking(), kind)))
        first_sentence = text.splitlines()[2]
        assert first_sentence.startswith("Your ")
        assert '<p style="margin:0;">Your ' in html


def test_html_loads_no_external_resources(make_booking: MakeBooking) -> None:
    for kind in NotificationKind:
        _, html = bodies(parsed(email_about(make_booking(), kind)))
        for forbidden in ("<img", "<script", "<link", "@import", "url(", "src="):
            assert forbidden not in html


def test_a_cancellation_has_the_reason_and_cancels_the_calendar_entry(
    make_booking: MakeBooking,
) -> None:
    message = parsed(
        email_about(make_booking(), NotificationKind.CANCELLATION, "The event has been cancelled.")
    )

    assert message["Subject"] == "Cancelled: your booking for Metallica Live"
    assert all("The event has been cancelled." in body for body in bodies(message))
    assert all("no longer valid" in body for body in bodies(message))
    files = attachments(message)
    assert list(files) == ["event.ics"]
    assert files["event.ics"].get_param("method") == "CANCEL"
    assert "METHOD:CANCEL" in files["event.ics"].get_content()


def test_a_cancelled_hold_had_no_tickets(make_booking: MakeBooking) -> None:
    message = parsed(email_about(make_booking(was_confirmed=False), NotificationKind.CANCELLATION))

    assert all("No tickets had been issued" in body for body in bodies(message))


def test_an_expired_hold_gets_no_attachments(make_booking: MakeBooking) -> None:
    message = parsed(email_about(make_booking(was_confirmed=False), NotificationKind.EXPIRY))

    assert message["Subject"] == "Your hold for Metallica Live has expired"
    assert not attachments(message)
    assert all("on sale again" in body for body in bodies(message))


def test_html_in_names_is_escaped(make_booking: MakeBooking) -> None:
    evil = '<script>alert("x")</script> & <b>'

    text, html = bodies(parsed(email_about(make_booking(name=evil, buyer=evil, place=evil))))

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert evil in text


def test_template_syntax_in_names_is_not_evaluated(make_booking: MakeBooking) -> None:
    for body in bodies(parsed(email_about(make_booking(name="{{ 7 * 7 }} {% raw %}")))):
        assert "{{ 7 * 7 }} {% raw %}" in body


def test_a_buyer_without_a_name_is_greeted(make_booking: MakeBooking) -> None:
    message = parsed(email_about(make_booking(buyer="")))

    assert message["To"] == "ada@buyers.example"
    assert bodies(message)[0].startswith("Hello,")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=st.text(max_size=200), buyer=st.text(max_size=200))
def test_no_name_can_add_or_break_a_header(
    make_booking: MakeBooking, name: str, buyer: str
) -> None:
    booking = make_booking(name=sanitize_text(name), buyer=sanitize_text(buyer), tickets=1)

    message = parsed(email_about(booking, NotificationKind.EXPIRY))

    assert sorted(message.keys()) == [
        "Auto-Submitted",
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ]
    (recipient,) = message["To"].addresses
    assert recipient.addr_spec == "ada@buyers.example"


@pytest.mark.parametrize(
    ("address", "recipient", "international"),
    [
        ("ada@bücher.example", "ada@xn--bcher-kva.example", False),
        ("ädä@buyers.example", "ädä@buyers.example", True),
    ],
)
def test_international_addresses_are_encoded_for_smtp(
    make_booking: MakeBooking, address: str, recipient: str, international: bool
) -> None:
    email = email_about(make_booking(email=address))

    assert email.recipient == recipient
    assert email.international is international
    assert f"To: Ada Lovelace <{recipient}>\r\n" in email.content.decode()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "@nowhere.example",
        "a@",
        "a b@c.example",
        "a@b.example\r\nRCPT TO:<eve@evil.example>",
        "ä b@c.example",
        "a@b@c.example>",
        "a@.example",
        "x" * 400 + "@" + "y" * 70 + ".example",
    ],
)
def test_a_malformed_address_is_rejected(make_booking: MakeBooking, address: str) -> None:
    with pytest.raises(InvalidRecipient):
        email_about(make_booking(email=address))
