"""Writes text on a PDF page: wrapped, shrunk and truncated to fit its box."""

from fpdf import FPDF

from goticket_documents.fonts import Weight, set_font

# Lengths are in millimetres, type sizes in points.
POINT = 25.4 / 72
_LEADING = 1.18

Colour = tuple[int, int, int]


def write(
    pdf: FPDF,
    x: float,
    y: float,
    text: str,
    weight: Weight,
    size: float,
    colour: Colour,
    *,
    spacing: float = 0,
) -> None:
    """Write one line with its baseline at y."""
    shown = set_font(pdf, text, weight, size)
    pdf.set_text_color(*colour)
    pdf.set_char_spacing(spacing)
    pdf.text(x, y, shown)
    pdf.set_char_spacing(0)


def write_centred(
    pdf: FPDF,
    middle: float,
    y: float,
    text: str,
    weight: Weight,
    size: float,
    colour: Colour,
    *,
    spacing: float = 0,
) -> None:
    """Write one line with its baseline at y, centred on x = middle."""
    width = _width(pdf, text, weight, size) + spacing * POINT * (len(text) - 1)
    write(pdf, middle - width / 2, y, text, weight, size, colour, spacing=spacing)


def write_block(
    pdf: FPDF,
    x: float,
    y: float,
    text: str,
    weight: Weight,
    sizes: tuple[float, ...],
    width: float,
    height: float,
    colour: Colour,
) -> float:
    """Write text in the largest size that fits the box; return the y of its end.

    Text that does not fit in the smallest size is truncated with an ellipsis.
    """
    lines, size = [text], sizes[-1]
    for candidate in sizes:
        size = candidate
        room = max(1, int(height / (size * POINT * _LEADING)))
        lines = _wrap(pdf, text, weight, size, width)
        if len(lines) <= room:
            break
    else:
        last = _ellipsis(pdf, lines[room - 1] + " " + lines[room], weight, size, width)
        lines = [*lines[: room - 1], last]
    for line in lines:
        y += size * POINT * _LEADING
        write(pdf, x, y - size * POINT * 0.3, line, weight, size, colour)
    return y


def _wrap(pdf: FPDF, text: str, weight: Weight, size: float, width: float) -> list[str]:
    """Wrap text at spaces, and inside words that are wider than `width`."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if _width(pdf, longer, weight, size) <= width:
            lines[-1] = longer
            continue
        rest = word
        while _width(pdf, rest, weight, size) > width:
            head = _longest_prefix(pdf, rest, weight, size, width)
            lines.append(head)
            rest = rest[len(head) :]
        lines.append(rest)
    return [line for line in lines if line]


def _longest_prefix(pdf: FPDF, text: str, weight: Weight, size: float, width: float) -> str:
    """Return the longest prefix of text that fits, at least one character."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _width(pdf, text[:middle], weight, size) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _ellipsis(pdf: FPDF, text: str, weight: Weight, size: float, width: float) -> str:
    mark = "\N{HORIZONTAL ELLIPSIS}"
    room = width - _width(pdf, mark, weight, size)
    return _longest_prefix(pdf, text, weight, size, room).rstrip() + mark


def _width(pdf: FPDF, text: str, weight: Weight, size: float) -> float:
    return pdf.get_string_width(set_font(pdf, text, weight, size))
