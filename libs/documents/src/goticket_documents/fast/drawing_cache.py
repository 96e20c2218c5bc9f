"""Copies what many PDF pages have in common instead of drawing it again."""

from collections.abc import Callable
from typing import Generic, TypeVar

from cachetools import LRUCache

from goticket_documents.embedded_font import EmbeddedFont
from goticket_documents.ticket_document import TicketDocument

SubjectT = TypeVar("SubjectT")
_Drawing = tuple[bytes, list[EmbeddedFont]]


class DrawingCache(Generic[SubjectT]):
    """Draws a subject as the first drawing of a page; one drawn before is copied.

    `new_page` makes the page that all documents start with, with the same fonts in the same
    order: operators name fonts by number. Subjects are hashable. Drawings and their fonts take
    at most `size` bytes.
    """

    def __init__(
        self,
        new_page: Callable[[], TicketDocument],
        draw: Callable[[TicketDocument, SubjectT], None],
        size: int,
    ) -> None:
        self._new_page = new_page
        self._draw = draw
        self._drawings: LRUCache[SubjectT, _Drawing] = LRUCache(size, getsizeof=_size)

    def draw(self, pdf: TicketDocument, subject: SubjectT) -> None:
        """Draw the subject onto the page."""
        drawing = self._drawings.get(subject)
        if drawing is None:
            drawing = self._make(subject)
            if _size(drawing) <= self._drawings.maxsize:
                self._drawings[subject] = drawing
        pdf.copy_drawing(*drawing)

    def _make(self, subject: SubjectT) -> _Drawing:
        pdf = self._new_page()
        self._draw(pdf, subject)
        pdf.finish_drawing()
        contents = pdf.pages[1].contents
        if not isinstance(contents, bytearray):
            raise TypeError("fpdf2 keeps the contents of a page as a bytearray until the output")
        return b"q\n" + bytes(contents) + b"Q", pdf.embedded


def _size(drawing: _Drawing) -> int:
    """Return the bytes of operators and fonts; the subject's texts are counted with 2 kB."""
    operators, fonts = drawing
    return len(operators) + sum(font.size for font in fonts) + 2_000
