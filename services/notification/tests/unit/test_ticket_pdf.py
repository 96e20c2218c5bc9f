"""The PDF ticket, looked at the way a scanner and a reader do."""
# ruff: noqa: RUF001 - the en dashes are meant

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pypdfium2
import pytest
import zxingcpp
from notification.bookings import Booking
from notification.money import Money
from notification.ticket_pdf import PAGE, render_ticket
from notification.typefaces import PLACEHOLDER
from PIL import Image, ImageChops

MADE_AT = datetime(2027, 1, 1, tzinfo=UTC)
QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
MakeBooking = Callable[..., Booking]


def ticket_of(booking: Booking, number: int = 1) -> bytes:
    return render_ticket(booking, booking.tickets[number - 1], MADE_AT)


def picture_of(content: bytes, scale: float = 2.2) -> Image.Image:
    document = pypdfium2.PdfDocument(content)
    try:
        assert len(document) == 1
        image: Image.Image = document[0].render(scale=scale).to_pil().convert("RGB")
        return image
    finally:
        document.close()


def text_of(content: bytes) -> str:
    document = pypdfium2.PdfDocument(content)
    try:
        text: str = document[0].get_textpage().get_text_bounded()
        return " ".join(text.split())
    finally:
        document.close()


def codes_in(image: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(image, QR)]


def test_the_code_scans_to_exactly_the_tickets_code(make_booking: MakeBooking) -> None:
    booking = make_booking(tickets=3)

    for ticket in booking.tickets:
        assert codes_in(picture_of(ticket_of(booking, ticket.number))) == [ticket.code]


def test_the_code_scans_from_a_small_screen_and_from_a_skewed_photograph(
    make_booking: MakeBooking,
) -> None:
    booking = make_booking()
    content = ticket_of(booking)

    small = picture_of(content, scale=1.3)
    tilted = picture_of(content, scale=3).convert("L").rotate(11, expand=True, fillcolor=255)

    assert codes_in(small) == [booking.tickets[0].code]
    assert codes_in(tilted.convert("RGB")) == [booking.tickets[0].code]


def test_the_code_survives_damage_as_error_correction_m_promises(
    make_booking: MakeBooking,
) -> None:
    booking = make_booking()
    image = picture_of(ticket_of(booking), scale=3)
    (symbol,) = zxingcpp.read_barcodes(image, QR)
    middle = symbol.position.top_left.x + symbol.position.bottom_right.x

    stain = (middle // 2, symbol.position.top_left.y + 100)
    image.paste((200, 120, 40), (stain[0], stain[1], stain[0] + 60, stain[1] + 60))

    assert symbol.ec_level in {"M", "Q", "H"}
    assert codes_in(image) == [booking.tickets[0].code]


def test_the_quiet_zone_is_four_modules_wide(make_booking: MakeBooking) -> None:
    image = picture_of(ticket_of(make_booking()), scale=4)
    (symbol,) = zxingcpp.read_barcodes(image, QR)
    corners = symbol.position
    size = corners.top_right.x - corners.top_left.x
    modules = 57  # of a symbol for a code of this length
    quiet = round(size / modules * 4)
    left, top = corners.top_left.x, corners.top_left.y

    for box in (
        (left - quiet + 3, top, left - 3, top + size),
        (left, top - quiet + 3, left + size, top - 3),
        (left + size + 6, top, left + size + quiet - 3, top + size),
        (left, top + size + 6, left + size, top + size + quiet - 3),
    ):
        assert image.crop(box).getextrema() == ((255, 255),) * 3


def test_everything_a_holder_needs_is_printed(make_booking: MakeBooking) -> None:
    booking = make_booking(ticket_type="Balcony", price=Money(9800, "JPY"), zone="Asia/Tokyo")

    text = text_of(ticket_of(booking, 2))

    for expected in (
        "Metallica Live",
        "Sunday, 13 June 2027",
        "02:30 – 06:00",
        "Asia/Tokyo, JST, UTC+09:00",
        "Olympiastadion, Berlin",
        "Ada Lovelace",
        "Balcony",
        "JPY 9,800",
        "Ticket 2 of 2",
        str(booking.id),
    ):
        assert expected in text


@pytest.mark.parametrize(
    "name",
    [
        "Zażółć gęślą jaźń: Łódź Nocą",
        "Чайковский — Лебединое озеро",
        "Ελληνική βραδιά",
        "Đêm nhạc Trịnh Công Sơn",
        "€ „Quotes“ – dashes",
    ],
)
def test_scripts_beyond_latin_1_are_printed_as_they_are(
    make_booking: MakeBooking, name: str
) -> None:
    content = ticket_of(make_booking(name=name, buyer=name))

    text = text_of(content)

    assert name in text
    assert PLACEHOLDER not in text
    assert len(codes_in(picture_of(content))) == 1


def test_characters_without_a_picture_become_visible_placeholders(
    make_booking: MakeBooking,
) -> None:
    text = text_of(ticket_of(make_booking(name="Rock 🤘 in 東京", buyer="👨\u200d👩\u200d👧")))

    assert f"Rock {PLACEHOLDER} in {PLACEHOLDER * 2}" in text


def test_right_to_left_text_is_drawn_in_reading_order(make_booking: MakeBooking) -> None:
    image = picture_of(ticket_of(make_booking(name="אב")))
    reversed_input = picture_of(ticket_of(make_booking(name="בא")))

    assert ImageChops.difference(image, reversed_input).getbbox() is not None
    assert len(codes_in(image)) == 1


@pytest.mark.parametrize("text", ["{nb}", "(\\)", "%PDF", "<< /JS (x) >>", "**bold** __x__", "~"])
def test_text_that_means_something_to_a_pdf_is_printed_as_it_is(
    make_booking: MakeBooking, text: str
) -> None:
    content = ticket_of(make_booking(name=text, buyer=text, place=text))

    assert text_of(content).count(text) == 3


@pytest.mark.parametrize(
    ("letter", "word"), [("W", 200), ("i", 200), ("Ж", 200), ("Word ", 40), ("東", 200)]
)
def test_no_long_text_leaves_its_place(make_booking: MakeBooking, letter: str, word: int) -> None:
    long = (letter * word).strip()[:200]
    usual = picture_of(ticket_of(make_booking()))
    booking = make_booking(
        name=long, place=(long * 2)[:300], buyer=long, ticket_type=long, price=Money(10**15, "BHD")
    )

    image = picture_of(ticket_of(booking))

    assert codes_in(image) == [booking.tickets[0].code]
    changed = ImageChops.difference(usual, image).getbbox()
    assert changed is not None
    left, top, right, bottom = (edge / 2.2 * 25.4 / 72 for edge in changed)
    assert left >= 11.5
    assert top >= 20
    assert right <= 132
    assert bottom <= 95
    rule = image.crop((75, 495, 800, 496)).convert("L").tobytes()
    assert min(rule) > 150, "the line above the holder is not written over"


def test_a_ticket_of_a_booking_without_a_place_leaves_it_out(make_booking: MakeBooking) -> None:
    assert "Olympiastadion" not in text_of(ticket_of(make_booking(place="")))


def test_latin_tickets_embed_no_font_and_stay_small(make_booking: MakeBooking) -> None:
    content = ticket_of(make_booking(name="Café Zoë – Fête"))

    assert b"/FontFile" not in content
    assert len(content) < 10_000


def test_other_tickets_embed_only_the_glyphs_they_use(make_booking: MakeBooking) -> None:
    content = ticket_of(make_booking(name="Łódź", buyer="Наталья"))

    assert b"/FontFile2" in content
    assert len(content) < 40_000


def test_the_page_is_the_size_of_a_ticket(make_booking: MakeBooking) -> None:
    document = pypdfium2.PdfDocument(io.BytesIO(ticket_of(make_booking())))
    try:
        width, height = document[0].get_size()
    finally:
        document.close()

    assert (round(width * 25.4 / 72), round(height * 25.4 / 72)) == PAGE


def test_the_document_names_itself_and_says_nothing_about_its_maker(
    make_booking: MakeBooking,
) -> None:
    document = pypdfium2.PdfDocument(ticket_of(make_booking()))
    try:
        about = document.get_metadata_dict()
    finally:
        document.close()

    assert about["Title"] == "Ticket 1 of 2: Metallica Live"
    assert about["Producer"] == "GoTicket"
