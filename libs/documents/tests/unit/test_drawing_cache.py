"""Drawings copied from a cache, compared with drawings made anew."""

import pytest
from goticket_documents.fast.drawing_cache import DrawingCache
from goticket_documents.text_layout import write_block
from goticket_documents.ticket_document import TicketDocument


class Artist:
    """Draws texts, and counts how often."""

    def __init__(self) -> None:
        self.drawn = 0

    def draw(self, pdf: TicketDocument, text: str) -> None:
        """Draw one line of text."""
        self.drawn += 1
        write_block(pdf, 20, 20, text, "", (12,), 80, 10, (0, 0, 0))


def new_page() -> TicketDocument:
    pdf = TicketDocument(210, 105)
    pdf.set_font("helvetica")
    pdf.add_page()
    return pdf


def content(pdf: TicketDocument) -> bytes:
    found = pdf.pages[1].contents
    assert isinstance(found, bytearray)
    return bytes(found)


@pytest.mark.parametrize("text", ["Metallica", "Łódź", "周杰伦", "حفلة فيروز"])
def test_a_drawing_is_made_once_and_copied_with_its_fonts(text: str) -> None:
    artist = Artist()
    cache = DrawingCache(new_page, artist.draw, 100_000)
    pages = [new_page() for _ in range(3)]

    for pdf in pages:
        cache.draw(pdf, text)

    assert artist.drawn == 1
    assert len({content(pdf) for pdf in pages}) == 1
    assert [len(pdf.embedded) for pdf in pages] == [0 if text.isascii() else 1] * 3


def test_text_of_the_next_drawing_has_fonts_of_its_own() -> None:
    artist = Artist()
    cache = DrawingCache(new_page, artist.draw, 100_000)
    pdf = new_page()

    cache.draw(pdf, "Łódź")
    artist.draw(pdf, "Żółć")
    pdf.finish_drawing()

    assert len(pdf.embedded) == 2
    assert content(pdf).count(b"/F100 12 Tf") == content(pdf).count(b"/F101 12 Tf") == 1


def test_drawings_are_kept_up_to_a_number_of_bytes() -> None:
    artist = Artist()
    cache = DrawingCache(new_page, artist.draw, 5_000)

    for text in ("one", "two", "three", "one"):
        cache.draw(new_page(), text)

    assert artist.drawn == 4, "each takes more than 2 kB, so two are kept"
