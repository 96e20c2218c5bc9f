"""Drawings copied from a cache, compared with drawings made anew."""

from fpdf import FPDF
from goticket_documents.fast.drawing_cache import DrawingCache
from goticket_documents.fonts import set_font


class Artist:
    """Draws texts, and counts how often."""

    def __init__(self) -> None:
        self.drawn = 0

    def draw(self, pdf: FPDF, text: str) -> None:
        """Draw one line of text."""
        self.drawn += 1
        pdf.text(20, 20, set_font(pdf, text, "", 12))


def new_page() -> FPDF:
    pdf = FPDF()
    pdf.set_font("helvetica")
    pdf.add_page()
    return pdf


def content(pdf: FPDF) -> bytes:
    found = pdf.pages[1].contents
    assert isinstance(found, bytearray)
    return bytes(found)


def test_a_drawing_is_made_once_and_copied() -> None:
    artist = Artist()
    cache = DrawingCache(new_page, artist.draw, 4)
    pages = [new_page() for _ in range(3)]

    for pdf in pages:
        cache.draw(pdf, "Metallica")

    assert artist.drawn == 1
    assert len({content(pdf) for pdf in pages}) == 1
    assert b"(Metallica) Tj" in content(pages[0])


def test_a_drawing_with_an_embedded_font_is_made_for_each_document() -> None:
    artist = Artist()
    cache = DrawingCache(new_page, artist.draw, 4)

    for _ in range(3):
        pdf = new_page()
        fonts = len(pdf.fonts)
        cache.draw(pdf, "Łódź")
        assert len(pdf.fonts) == fonts + 1

    assert artist.drawn == 4  # once to find out, then for each document
