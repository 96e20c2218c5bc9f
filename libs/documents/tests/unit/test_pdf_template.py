"""Documents put together from the objects of another one, read by a PDF reader."""

import io
import re

import pypdfium2
import pytest
from fpdf import FPDF
from goticket_documents.pdf_template import Envelope, NotOnePage


def document(text: str, pages: int = 1) -> bytes:
    pdf = FPDF()
    pdf.set_title("A title")
    for _ in range(pages):
        pdf.add_page()
        pdf.set_font("helvetica")
        pdf.text(20, 20, text)
    return bytes(pdf.output())


def content(text: str) -> bytes:
    return f"BT /F1 12.00 Tf 50 700 Td ({text}) Tj ET".encode()


@pytest.mark.parametrize("text", ["x", "other words", "long " * 2000])
def test_another_content_is_read_in_the_place_of_the_first(text: str) -> None:
    made = Envelope(document("first")).around(content(text))

    with pypdfium2.PdfDocument(io.BytesIO(made)) as read:
        assert len(read) == 1
        assert read.get_metadata_dict()["Title"] == "A title"
        shown = read[0].get_textpage().get_text_range()
    assert shown.split() == text.split()


def test_every_object_is_where_the_table_says() -> None:
    made = Envelope(document("first")).around(content("second" * 50))

    table = int(re.findall(rb"startxref\n(\d+)", made)[-1])
    assert made[table:].startswith(b"xref\n")
    entries = re.findall(rb"(\d{10}) 00000 n", made[table:])
    assert entries
    for number, start in enumerate(entries, start=1):
        assert made[int(start) :].startswith(b"%d 0 obj\n" % number)


def test_documents_with_other_contents_have_other_ids() -> None:
    envelope = Envelope(document("first"))
    ids = {envelope.around(content(text)).partition(b"/ID ")[2][:68] for text in ("a", "b")}

    assert len(ids) == 2


@pytest.mark.parametrize(
    "other", [b"", b"%PDF-1.4\n", document("x", pages=2), document("x")[:-300]]
)
def test_what_is_not_one_page_is_not_taken_apart(other: bytes) -> None:
    with pytest.raises(NotOnePage):
        Envelope(other)
