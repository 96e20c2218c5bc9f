"""The QR code as rows of modules and as SVG."""

import re
from xml.etree import ElementTree as ET

import pytest
import segno
import zxingcpp
from goticket_documents.qr import QUIET_MODULES, dark_runs, qr_modules, qr_svg
from PIL import Image, ImageDraw

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


def test_the_svg_scans_on_a_dark_page_in_any_size() -> None:
    drawing = ET.fromstring(qr_svg(CODE))  # noqa: S314 - our own drawing
    ground, dark = drawing.findall("{http://www.w3.org/2000/svg}path")
    _, _, width, height = map(int, drawing.attrib["viewBox"].split())
    page = Image.new("RGB", (width + 20, height + 20), "#101010")
    drawn = ImageDraw.Draw(page)

    covered = re.fullmatch(r"M0 0h(\d+)v(\d+)H0z", ground.attrib["d"])
    assert covered is not None
    assert (int(covered[1]), int(covered[2])) == (width, height), "the ground is the whole drawing"
    drawn.rectangle((10, 10, 9 + width, 9 + height), ground.attrib["fill"])
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", dark.attrib["d"]):
        left, top = 10 + int(x), 10 + int(y)
        drawn.rectangle((left, top, left + int(length) - 1, top), dark.attrib["fill"])

    for scale in (2, 3, 5):
        shown = page.resize((page.width * scale, page.height * scale), Image.Resampling.NEAREST)
        assert [found.text for found in zxingcpp.read_barcodes(shown)] == [CODE]


def test_the_quiet_zone_is_four_light_modules_wide() -> None:
    # ISO/IEC 18004:2015, 6.3.8
    drawing = ET.fromstring(qr_svg(CODE))  # noqa: S314 - our own drawing
    _, dark = drawing.findall("{http://www.w3.org/2000/svg}path")
    _, _, width, height = map(int, drawing.attrib["viewBox"].split())
    runs = [tuple(map(int, each)) for each in re.findall(r"M(\d+) (\d+)h(\d+)", dark.attrib["d"])]

    assert min(x for x, _, _ in runs) == min(y for _, y, _ in runs) == 4
    assert max(x + length for x, _, length in runs) == width - 4
    assert max(y + 1 for _, y, _ in runs) == height - 4


def test_the_symbol_equals_segnos_with_error_correction_m_or_better() -> None:
    expected = segno.make_qr(CODE, error="m", mask=2)

    assert qr_modules(CODE) == [bytes(row) for row in expected.matrix]
    assert expected.error in {"M", "Q", "H"}
