"""A PDF page that writes text of any script, beside what fpdf2 draws."""

from dataclasses import dataclass
from itertools import groupby

from fpdf import FPDF
from fpdf.output import OutputProducer, PDFFont

from goticket_documents.embedded_font import EmbeddedFont, embed
from goticket_documents.fonts import Font, Weight
from goticket_documents.shaping import Glyph

Colour = tuple[int, int, int]

# Width of the stroke that makes a regular font bold, as a part of the type size.
_BOLD_STROKE = 0.028
# Numbers of fonts that fpdf2 does not give to its own.
_FIRST_FONT = 100


@dataclass(frozen=True, slots=True)
class _PlacedLine:
    """A shaped line; x, y and size in points from the lower left corner."""

    x: float
    y: float
    size: float
    weight: Weight
    colour: Colour
    text: str
    glyphs: tuple[Glyph, ...]


class TicketDocument(FPDF):
    """A document whose shaped lines are written, with their fonts, by `finish_drawing`."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(orientation="landscape", unit="mm", format=(height, width))
        self.embedded: list[EmbeddedFont] = []
        self._placed: list[_PlacedLine] = []
        # All fonts are resources of the only page.
        self.single_resources_object = True

    def place(
        self,
        x: float,
        y: float,
        text: str,
        glyphs: tuple[Glyph, ...],
        weight: Weight,
        size: float,
        colour: Colour,
    ) -> None:
        """Place a line with its baseline at y; x and y in millimetres, size in points."""
        line = _PlacedLine(x * self.k, (self.h - y) * self.k, size, weight, colour, text, glyphs)
        self._placed.append(line)

    def finish_drawing(self) -> None:
        """Write the lines that were placed. Their fonts have the glyphs of these lines only.

        So a drawing that is copied from a cache brings its fonts with it.
        """
        if not self._placed:
            return
        texts: dict[Font, dict[int, str]] = {}
        for line in self._placed:
            for glyph in line.glyphs:
                of_font = texts.setdefault(glyph.font, {})
                of_font[glyph.id] = of_font.get(glyph.id) or glyph.text
        fonts = {}
        for font, glyphs in texts.items():
            fonts[font] = (f"/F{_FIRST_FONT + len(self.embedded)}", embed(font, glyphs))
            self.embedded.append(fonts[font][1])
        for line in self._placed:
            self._out(_operators(line, fonts))
        self._placed.clear()

    def copy_drawing(self, operators: bytes, fonts: list[EmbeddedFont]) -> None:
        """Add what another document wrote as its first drawing. This one has none yet."""
        self._out(operators)
        self.embedded += fonts

    def content(self) -> bytes:
        """Return the finished document."""
        return bytes(self.output(output_producer_class=_Output))


class _Output(OutputProducer):
    """Adds the embedded fonts to those of fpdf2."""

    fpdf: TicketDocument

    # fpdf2 asks this method for the fonts of the document; subclasses are its way to extend it.
    def _add_fonts(self, *arguments: object) -> dict[int, PDFFont]:  # type: ignore[override]
        added: dict[int, PDFFont] = super()._add_fonts(*arguments)  # type: ignore[arg-type,assignment]
        for number, font in enumerate(self.fpdf.embedded, start=_FIRST_FONT):
            objects = font.objects()
            for each in objects:
                self._add_pdf_obj(each, "fonts")
            added[number] = objects[0]
        return added


def _operators(line: _PlacedLine, fonts: dict[Font, tuple[str, EmbeddedFont]]) -> str:
    """Return the line as operators, with the text that it stands for (14.9.4)."""
    colour = " ".join(f"{part / 255:.4g}" for part in line.colour)
    parts = [
        f"/Span<</ActualText<FEFF{line.text.encode('utf-16-be').hex()}>>>BDC",
        f"q BT {line.x:.2f} {line.y:.2f} Td {colour} rg {colour} RG",
        f"{line.size * _BOLD_STROKE:.3f} w 1 j",
    ]
    for font, glyphs in groupby(line.glyphs, lambda glyph: glyph.font):
        name, embedded = fonts[font]
        bolder = line.weight == "B" and not font.is_bold()
        parts.append(f"{name} {line.size:g} Tf {2 if bolder else 0} Tr")
        parts.append(_show(list(glyphs), embedded, line.size))
    parts.append("ET Q EMC")
    return "\n".join(parts)


def _show(glyphs: list[Glyph], embedded: EmbeddedFont, size: float) -> str:
    """Return the operators that show glyphs of one font (9.4.3)."""
    shown: list[str] = []
    for up, level in groupby(glyphs, lambda glyph: glyph.up):
        items: list[str] = []
        for glyph in level:
            back = glyph.font.shaper.get_glyph_h_advance(glyph.id) + glyph.right - glyph.advance
            before = f"{-glyph.right} " if glyph.right else ""
            after = f" {back}" if back else ""
            items.append(f"{before}<{embedded.codes[glyph.id]:04X}>{after}")
        text = f"[{' '.join(items)}]TJ"
        shown.append(f"{up * size / 1000:.3f} Ts {text} 0 Ts" if up else text)
    return "\n".join(shown)
