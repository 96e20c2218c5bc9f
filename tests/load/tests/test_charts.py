"""Charts are well-formed SVG inside their frame."""

import math
import re
from xml.etree import ElementTree as ET

import pytest
from goticket_load.charts import HEIGHT, WIDTH, Axis, Series, bar_chart, line_chart, nice_step

SVG = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own document


def test_a_line_chart_draws_every_series_inside_the_frame() -> None:
    series = [
        Series("hot <event>", [(1, 300), (64, 4000), (1024, 3900)]),
        Series("pgbench", [(1, 1000), (1024, 1000)], dashed=True),
    ]
    svg = line_chart("Bookings & buyers", Axis("connections", True), Axis("per second"), series)
    root = parse(svg)
    lines = root.findall(f"{SVG}polyline")
    assert len(lines) == 2
    for line in lines:
        for x, y in re.findall(r"([-\d.]+),([-\d.]+)", line.attrib["points"]):
            assert 0 <= float(x) <= WIDTH
            assert 0 <= float(y) <= HEIGHT
    assert "hot <event>" in [text.text for text in root.iter(f"{SVG}text")]


def test_larger_values_are_drawn_higher_and_further_right() -> None:
    svg = line_chart("", Axis("x"), Axis("y"), [Series("s", [(0, 0), (10, 5)])])
    points = parse(svg).findall(f"{SVG}polyline")[0].attrib["points"].split()
    (x0, y0), (x1, y1) = ([float(n) for n in point.split(",")] for point in points)
    assert x1 > x0
    assert y1 < y0


def test_a_logarithmic_axis_omits_values_that_it_cannot_show() -> None:
    points = [(1.0, 0.0), (10.0, math.nan), (100.0, 5.0)]
    svg = line_chart("", Axis("x", True), Axis("y", True), [Series("s", points)])
    assert len(parse(svg).findall(f"{SVG}circle")) == 1


def test_charts_without_data_are_valid() -> None:
    assert parse(line_chart("", Axis("x"), Axis("y", True), [])).tag == f"{SVG}svg"
    assert parse(bar_chart("", Axis("x", True), Axis("y"), [])).tag == f"{SVG}svg"


def test_the_height_of_a_bar_is_its_share() -> None:
    bars = [(1.0, 2.0, 10.0), (2.0, 4.0, 5.0)]
    root = parse(bar_chart("", Axis("ms", True), Axis("%"), bars))
    drawn = [r for r in root.findall(f"{SVG}rect") if r.attrib["fill"] != "#ffffff"]
    first, second = (float(bar.attrib["height"]) for bar in drawn)
    assert first == pytest.approx(2 * second, abs=0.2)


@pytest.mark.parametrize(
    ("span", "step"), [(6, 1), (10, 2), (23, 5), (60, 10), (4321, 1000), (0, 1)]
)
def test_ticks_have_round_distances(span: float, step: float) -> None:
    assert nice_step(span) == pytest.approx(step)
