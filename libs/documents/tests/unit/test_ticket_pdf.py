"""The PDF ticket, read by a scanner and a PDF reader."""
# ruff: noqa: RUF001 - text of every script is meant

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pypdf
import pypdfium2
import pytest
import zxingcpp
from goticket_documents.fonts import PLACEHOLDER
from goticket_documents.money import Money
from goticket_documents.ticket_model import PrintableTicket
from goticket_documents.ticket_pdf import PAGE, missing_characters, render_ticket
from goticket_kernel.time_zones import TimeZone
from PIL import Image, ImageChops

SCRIPTS = {
    "arabic": "حفلة فيروز",
    "arabic with latin": "حفلة فيروز (Live) 2027 في بعلبك",
    "armenian": "Համերգ Երևանում",
    "bengali": "রবীন্দ্র সঙ্গীত সন্ধ্যা",
    "cyrillic": "Лебединое озеро Ђорђе",
    "devanagari": "पंडित रविशंकर की क्षत्रिय संध्या",
    "emoji": "Rock 🤘 👨\u200d👩\u200d👧 ❤️ 🇩🇪 👍🏽",
    "ethiopic": "የሙዚቃ ምሽት",
    "georgian": "ღამის კონცერტი",
    "greek": "Ελληνική βραδιά",
    "gujarati": "ગરબા રાત્રિ",
    "gurmukhi": "ਸੰਗੀਤ ਸਮਾਗਮ",
    "han": "张伟 張惠妹 𠮷野家",
    "hangul": "김민수 서울 올림픽공원",
    "hebrew": "שלום עליכם, תל אביב",
    "kana": "カラオケ ひらがな ﾊﾝｶｸ",
    "kannada": "ಸಂಗೀತ ಸಂಜೆ",
    "khmer": "ការប្រគុំតន្ត្រី",
    "lao": "ຄອນເສີດ ວຽງຈັນ",
    "latin": "Zażółć gęślą jaźń Đêm nhạc Trịnh Công Sơn",
    "malayalam": "സംഗീത സന്ധ്യ",
    "mathematical letters": "𝓐𝓭𝓪 𝕷𝖔𝖛𝖊",
    "mixed": "2027周杰伦 Łódź שלום ไทย 😀",
    "myanmar": "ဂီတညနေခင်း",
    "oriya": "ସଙ୍ଗୀତ ସନ୍ଧ୍ୟା",
    "persian": "کنسرت همایون شجریان می\u200cشود",
    "sinhala": "සංගීත සන්ධ්‍යාව",
    "tamil": "தமிழ் இசை நிகழ்ச்சி",
    "telugu": "సంగీత సాయంత్రం",
    "thai": "ชุมชนเพื่อชีวิต กรุงเทพฯ",
    "tibetan": "རོལ་མོའི་དགོང་མོ",
    "urdu": "غزل کی ایک شام",
}
CREATED_AT = datetime(2027, 1, 1, tzinfo=UTC)
QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
START = datetime(2027, 6, 12, 17, 30, tzinfo=UTC)
TICKET = PrintableTicket(
    id="0198c2f0-7b1e-7c3a-9d55-000000000001",
    # As long as a signed code is, with every character of its alphabet.
    code="GT1.7f3a9c." + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_" * 4 + ".1",
    booking_reference="0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d5f",
    event_name="Metallica Live",
    place="Olympiastadion, Berlin",
    zone=TimeZone("Europe/Berlin"),
    starts_at=START,
    ends_at=START + timedelta(hours=3, minutes=30),
    holder="Ada Lovelace",
    ticket_type="General Admission",
    price=Money(25000, "EUR"),
    numbered=(1, 2),
)


def printed(**changes: Any) -> bytes:
    return render_ticket(replace(TICKET, **changes), CREATED_AT)


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


def fonts_of(content: bytes) -> list[Any]:
    """Return the fonts of the page that are no core fonts."""
    page: Any = pypdf.PdfReader(io.BytesIO(content)).pages[0]
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]
    return [font for font in fonts if font["/Subtype"] == "/Type0"]


def readable(content: bytes) -> str:
    """Return the text of shaped lines, which readers prefer to glyphs (ISO 32000-2, 14.9.4)."""
    found = re.findall(r"/ActualText<FEFF([0-9a-f]*)>", content_stream(content))
    return "".join(bytes.fromhex(each).decode("utf-16-be") for each in found)


def content_stream(content: bytes) -> str:
    """Return the operators of the page."""
    found = pypdf.PdfReader(io.BytesIO(content)).pages[0].get_contents()
    assert found is not None
    return found.get_data().decode("latin-1")


def codes_in(image: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(image, QR)]


def test_the_qr_code_scans_to_the_tickets_code() -> None:
    for code in (TICKET.code, TICKET.code[:-1] + "2", "GT1.short.code"):
        assert codes_in(picture_of(printed(code=code))) == [code]


def test_the_qr_code_scans_when_it_is_small_or_rotated() -> None:
    content = printed()

    small = picture_of(content, scale=1.3)
    tilted = picture_of(content, scale=3).convert("L").rotate(11, expand=True, fillcolor=255)

    assert codes_in(small) == [TICKET.code]
    assert codes_in(tilted.convert("RGB")) == [TICKET.code]


def test_the_qr_code_scans_despite_damage() -> None:
    image = picture_of(printed(), scale=3)
    (symbol,) = zxingcpp.read_barcodes(image, QR)
    middle = symbol.position.top_left.x + symbol.position.bottom_right.x

    stain = (middle // 2, symbol.position.top_left.y + 100)
    image.paste((200, 120, 40), (stain[0], stain[1], stain[0] + 60, stain[1] + 60))

    assert symbol.ec_level in {"M", "Q", "H"}
    assert codes_in(image) == [TICKET.code]


def test_the_quiet_zone_is_four_modules_wide() -> None:
    image = picture_of(printed(), scale=4)
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


def test_all_fields_are_printed() -> None:
    text = text_of(
        printed(
            ticket_type="Balcony",
            price=Money(9800, "JPY"),
            zone=TimeZone("Asia/Tokyo"),
            numbered=(2, 3),
        )
    )

    for expected in (
        "Metallica Live",
        "Sunday, 13 June 2027",
        "02:30 – 06:00",
        "Asia/Tokyo, JST, UTC+09:00",
        "Olympiastadion, Berlin",
        "Ada Lovelace",
        "Balcony",
        "JPY 9,800",
        "Ticket 2 of 3",
        TICKET.id,
        TICKET.booking_reference,
    ):
        assert expected in text


def test_each_end_of_a_period_has_its_own_offset() -> None:
    start = datetime(2027, 10, 29, 18, tzinfo=UTC)

    text = text_of(printed(starts_at=start, ends_at=start + timedelta(days=3)))

    expected = "20:00 (CEST, UTC+02:00) – Monday, 1 November 2027, 19:00 (CET, UTC+01:00)"
    assert expected in text
    assert "Europe/Berlin" in text.replace(expected, "")


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
def test_scripts_beyond_latin_1_are_printed_as_they_are(name: str) -> None:
    content = printed(event_name=name, holder=name)

    text = text_of(content)

    assert name in text
    assert PLACEHOLDER not in text
    assert len(codes_in(picture_of(content))) == 1


def test_characters_without_a_glyph_become_placeholders_and_are_counted() -> None:
    ticket = replace(TICKET, event_name="Rock \U00012000 in \U00013000\U00013001", holder="Ann")

    text = text_of(render_ticket(ticket, CREATED_AT))

    assert f"Rock {PLACEHOLDER} in {PLACEHOLDER * 2}" in text
    assert missing_characters(ticket) == 3
    assert missing_characters(TICKET) == 0


@pytest.mark.parametrize("name", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_every_script_is_printed_with_glyphs_and_read_back(name: str) -> None:
    ticket = replace(TICKET, event_name=name, holder=name, place=name, ticket_type=name)

    content = render_ticket(ticket, CREATED_AT)

    assert missing_characters(ticket) == 0
    assert PLACEHOLDER not in text_of(content)
    assert "<0000>" not in content_stream(content), "a code of .notdef"
    assert "".join(readable(content).split()).count("".join(name.split())) == 4
    assert len(codes_in(picture_of(content))) == 1


def test_every_font_of_a_ticket_is_embedded_and_maps_to_text() -> None:
    fonts = fonts_of(printed(event_name="حفلة 张伟", holder="Łódź"))

    assert len(fonts) >= 3
    for font in fonts:
        (descendant,) = font["/DescendantFonts"]
        file = {"/CIDFontType0": "/FontFile3", "/CIDFontType2": "/FontFile2"}
        assert descendant["/FontDescriptor"][file[descendant["/Subtype"]]].get_data()
        assert b"beginbfchar" in font["/ToUnicode"].get_data()


def test_text_from_right_to_left_is_aligned_to_the_right_of_its_column() -> None:
    edges = {
        name: ImageChops.difference(
            picture_of(printed(event_name="")), picture_of(printed(event_name=name))
        ).getbbox()
        for name in ("Łódź", "حفلة")
    }

    assert edges["Łódź"] is not None
    assert edges["حفلة"] is not None
    assert edges["Łódź"][0] < 110
    assert edges["حفلة"][2] > 700


def test_a_ticket_in_another_script_stays_small() -> None:
    for name in SCRIPTS.values():
        assert len(printed(event_name=name, holder=name)) < 50_000


def test_right_to_left_text_is_drawn_in_reading_order() -> None:
    image = picture_of(printed(event_name="אב"))
    reversed_input = picture_of(printed(event_name="בא"))

    assert ImageChops.difference(image, reversed_input).getbbox() is not None
    assert len(codes_in(image)) == 1


@pytest.mark.parametrize("text", ["{nb}", "(\\)", "%PDF", "<< /JS (x) >>", "**bold** __x__", "~"])
def test_pdf_syntax_in_text_is_printed_literally(text: str) -> None:
    content = printed(event_name=text, holder=text, place=text)

    assert text_of(content).count(text) == 3


@pytest.mark.parametrize(
    ("letter", "word"), [("W", 200), ("i", 200), ("Ж", 200), ("Word ", 40), ("東", 200)]
)
def test_long_text_stays_inside_its_box(letter: str, word: int) -> None:
    long = (letter * word).strip()[:200]
    usual = picture_of(printed())
    content = printed(
        event_name=long,
        place=(long * 2)[:300],
        holder=long,
        ticket_type=long,
        price=Money(10**15, "BHD"),
    )

    image = picture_of(content)

    assert codes_in(image) == [TICKET.code]
    changed = ImageChops.difference(usual, image).getbbox()
    assert changed is not None
    left, top, right, bottom = (edge / 2.2 * 25.4 / 72 for edge in changed)
    assert left >= 11.5
    assert top >= 20
    assert right <= 132
    assert bottom <= 95
    rule = image.crop((75, 495, 800, 496)).convert("L").tobytes()
    assert min(rule) > 150, "the line above the holder is not written over"


def test_an_empty_place_is_left_out() -> None:
    assert "Olympiastadion" not in text_of(printed(place=""))


def test_unknown_fields_are_left_out() -> None:
    content = printed(price=None, numbered=None)

    text = text_of(content)

    assert "PRICE" not in text
    assert " of " not in text
    assert "General Admission" in text
    assert codes_in(picture_of(content)) == [TICKET.code]
    with pypdfium2.PdfDocument(content) as document:
        assert document.get_metadata_dict()["Title"] == "Ticket: Metallica Live"


def test_a_price_of_zero_is_printed_as_free() -> None:
    assert "Free" in text_of(printed(price=Money(0, "EUR")))


def test_a_void_ticket_is_stamped_and_has_no_qr_code() -> None:
    content = printed(void=True)

    text = text_of(content)

    assert "VOID" in text
    assert "It is no longer valid for entry." in text
    assert "ADMIT ONE" not in text
    assert "Show this code" not in text
    assert codes_in(picture_of(content, scale=3)) == []
    assert "VOID" not in text_of(printed())


def test_latin_tickets_embed_no_font_and_stay_small() -> None:
    content = printed(event_name="Café Zoë – Fête")

    assert b"/FontFile" not in content
    assert len(content) < 10_000


def test_other_tickets_embed_only_the_glyphs_they_use() -> None:
    content = printed(event_name="Łódź", holder="Наталья")

    assert b"/FontFile2" in content
    assert len(content) < 40_000


def test_the_page_is_the_size_of_a_ticket() -> None:
    document = pypdfium2.PdfDocument(io.BytesIO(printed()))
    try:
        width, height = document[0].get_size()
    finally:
        document.close()

    assert (round(width * 25.4 / 72), round(height * 25.4 / 72)) == PAGE


def test_the_metadata_has_the_title_and_no_library_name() -> None:
    document = pypdfium2.PdfDocument(printed())
    try:
        about = document.get_metadata_dict()
    finally:
        document.close()

    assert about["Title"] == "Ticket 1 of 2: Metallica Live"
    assert about["Producer"] == "GoTicket"
