"""Copies what many PDF pages have in common instead of drawing it again."""

from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

from fpdf import FPDF

SubjectT = TypeVar("SubjectT")


class DrawingCache(Generic[SubjectT]):
    """Draws a subject onto pages; a subject drawn before is copied as PDF operators.

    `new_page` makes the page that all documents start with, with the same fonts in the same
    order: operators name fonts by number. Subjects are hashable; the last `size` are kept, some
    3 kB each.
    """

    def __init__(
        self,
        new_page: Callable[[], FPDF],
        draw: Callable[[FPDF, SubjectT], None],
        size: int,
    ) -> None:
        self._new_page = new_page
        self._draw = draw
        self._operators = lru_cache(maxsize=size)(self._find_operators)

    def draw(self, pdf: FPDF, subject: SubjectT) -> None:
        """Draw the subject onto the page."""
        operators = self._operators(subject)
        if operators is None:
            self._draw(pdf, subject)
        else:
            pdf._out(operators)  # noqa: SLF001 - every public drawing method ends in it

    def _find_operators(self, subject: SubjectT) -> bytes | None:
        """Return None if the subject embeds a font: each document has its own subset of it."""
        pdf = self._new_page()
        fonts = len(pdf.fonts)
        self._draw(pdf, subject)
        contents = pdf.pages[1].contents
        if len(pdf.fonts) > fonts or not isinstance(contents, bytearray):
            return None
        return b"q\n" + bytes(contents) + b"Q"
