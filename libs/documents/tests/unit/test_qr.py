"""The QR code as rows of modules and as SVG."""

import re
from xml.etree import ElementTree as ET

import pytest
import segno
from goticket_documents.qr import QUIET_MODULES, dark_runs, qr_modules, qr_svg

CODE = "GT1.7f3a9c." + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_" * 4


def test_runs_cover_exactly_the_dark_modules() -> None:
    for row in qr_modules(CODE):
        covered = bytearray(len(row))
        for start, length in dark_runs(row):
            covered[start : start + length] = b"\x01" * length
        assert covered == row


def test_the_svg_has_the_size_of_the_symbol_and_its_quiet_zone() -> None:
    drawing = ET.fromstring(qr_svg(CODE))  # noqa: S314 - our own drawing

    modules = len(qr_modules(CODE)) + 2 * QUIET_MODULES

    assert drawing.attrib["width"] == drawing.attrib["height"] == str(8 * modules)


@pytest.mark.parametrize("code", [CODE, CODE.upper().replace("_", "-")])
def test_the_svg_shows_exactly_the_dark_modules(code: str) -> None:
    drawing = ET.fromstring(qr_svg(code))  # noqa: S314 - our own drawing
    rows = qr_modules(code)
    _, dark = drawing.findall("{http://www.w3.org/2000/svg}path")

    drawn = [bytearray(len(row)) for row in rows]
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", dark.attrib["d"]):
        start = int(x) - QUIET_MODULES
        drawn[int(y) - QUIET_MODULES][start : start + int(length)] = b"\x01" * int(length)

    assert drawn == rows


def test_the_symbol_equals_segnos_with_error_correction_m_or_better() -> None:
    expected = segno.make_qr(CODE, error="m", mask=2)

    assert qr_modules(CODE) == [bytes(row) for row in expected.matrix]
    assert expected.error in {"M", "Q", "H"}
