"""The QR code, as rows of modules and as a drawing."""

from xml.etree import ElementTree as ET

import segno
from goticket_documents.qr import QUIET_MODULES, dark_runs, qr_modules, qr_svg

CODE = "GT1.7f3a9c." + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_" * 4


def test_runs_cover_every_dark_module_and_no_other() -> None:
    for row in qr_modules(CODE):
        covered = bytearray(len(row))
        for start, length in dark_runs(row):
            covered[start : start + length] = b"\x01" * length
        assert covered == row


def test_the_drawing_has_room_for_the_modules_and_the_quiet_zone() -> None:
    drawing = ET.fromstring(qr_svg(CODE))  # noqa: S314 - our own drawing

    modules = len(qr_modules(CODE)) + 2 * QUIET_MODULES

    assert drawing.attrib["width"] == drawing.attrib["height"] == str(8 * modules)


def test_the_same_code_is_the_same_symbol_on_paper_and_on_a_screen() -> None:
    expected = segno.make_qr(CODE, error="m", mask=2)

    assert qr_modules(CODE) == [bytes(row) for row in expected.matrix]
    assert qr_svg(CODE) == qr_svg(CODE)
    assert expected.error in {"M", "Q", "H"}
