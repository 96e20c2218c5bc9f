"""Charts as SVG: lines and bars over linear or logarithmic axes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 74, 180, 44, 52
COLOURS = ("#0b6e99", "#d9480f", "#2b8a3e", "#862e9c", "#495057", "#e67700")
TICKS = 6

Point = tuple[float, float]
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Series:
    """A named line."""

    name: str
    points: Sequence[Point]
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """The label and the scale of an axis."""

    label: str
    logarithmic: bool = False


def line_chart(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """Return an SVG document; a logarithmic axis omits points that it cannot show."""
    shown = [
        (each, [p for p in each.points if _fits(p[0], x) and _fits(p[1], y)]) for each in series
    ]
    across, along_x = _axis(x, [p[0] for _, points in shown for p in points], LEFT, WIDTH - RIGHT)
    up, along_y = _axis(y, [p[1] for _, points in shown for p in points], HEIGHT - BOTTOM, TOP)
    drawn = [
        part
        for (each, points), colour in zip(shown, _colours(len(shown)), strict=True)
        for part in _line(each, points, colour, across, up)
    ]
    legend = [
        f'<text x="{WIDTH - RIGHT + 34}" y="{TOP + 14 + 20 * n}">{escape(each.name)}</text>'
        f'<path d="M{WIDTH - RIGHT + 10} {TOP + 10 + 20 * n}h18" stroke="{colour}" '
        f'stroke-width="3"{_dashes(each)}/>'
        for n, (each, colour) in enumerate(zip(series, _colours(len(series)), strict=True))
    ]
    return _document(title, [*_frame(x, y, across, up, along_x, along_y), *drawn, *legend])


def bar_chart(title: str, x: Axis, y: Axis, bars: Sequence[tuple[float, float, float]]) -> str:
    """Return an SVG document of bars, each (from, to, height)."""
    bars = [bar for bar in bars if _fits(bar[0], x) and _fits(bar[1], x)]
    across, along_x = _axis(x, [edge for bar in bars for edge in bar[:2]], LEFT, WIDTH - RIGHT)
    up, along_y = _axis(y, [0.0, *(bar[2] for bar in bars)], HEIGHT - BOTTOM, TOP)
    drawn = [
        f'<rect x="{across(low):.1f}" y="{up(height):.1f}" fill="{COLOURS[0]}" '
        f'width="{max(0.5, across(high) - across(low) - 0.3):.1f}" '
        f'height="{up(0) - up(height):.1f}"/>'
        for low, high, height in bars
    ]
    return _document(title, [*_frame(x, y, across, up, along_x, along_y), *drawn])


def _fits(value: float, axis: Axis) -> bool:
    return math.isfinite(value) and (value > 0 or not axis.logarithmic)


def _colours(count: int) -> list[str]:
    return [COLOURS[n % len(COLOURS)] for n in range(count)]


def _dashes(series: Series) -> str:
    return ' stroke-dasharray="6 4"' if series.dashed else ""


def _line(
    series: Series, points: Sequence[Point], colour: str, across: Scale, up: Scale
) -> list[str]:
    places = [(across(x), up(y)) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [
        (
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"'
            f"{_dashes(series)}/>"
        )
    ]
    if not series.dashed and len(places) <= 20:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
    return parts


def _axis(
    axis: Axis, values: Sequence[float], start: float, end: float
) -> tuple[Scale, list[float]]:
    """Return the scale from values to positions between `start` and `end`, and the ticks."""
    if axis.logarithmic:
        low = math.floor(math.log10(min(values, default=1)))
        high = max(low + 1, math.ceil(math.log10(max(values, default=10))))
        ticks = [10.0**n for n in range(low, high + 1)]
        return lambda v: start + (math.log10(v) - low) / (high - low) * (end - start), ticks
    bottom = min(0.0, *values) if values else 0.0
    step = nice_step(max(values, default=1.0) - bottom)
    count = max(1, math.ceil((max(values, default=1.0) - bottom) / step))
    top = bottom + step * count
    ticks = [bottom + step * n for n in range(count + 1)]
    return lambda v: start + (v - bottom) / (top - bottom) * (end - start), ticks


def nice_step(span: float) -> float:
    """Return a round distance (1, 2 or 5 times a power of ten) for about six ticks."""
    if span <= 0:
        return 1.0
    raw = span / TICKS
    power: float = 10.0 ** math.floor(math.log10(raw))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= raw * 0.999)


def _frame(
    x: Axis, y: Axis, across: Scale, up: Scale, along_x: Sequence[float], along_y: Sequence[float]
) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    middle = (TOP + bottom) / 2
    return [
        *(
            f'<path d="M{LEFT} {up(v):.1f}H{right}" stroke="#dee2e6"/>'
            f'<text x="{LEFT - 8}" y="{up(v) + 4:.1f}" text-anchor="end">{_number(v)}</text>'
            for v in along_y
        ),
        *(
            f'<path d="M{across(v):.1f} {bottom}v5" stroke="#868e96"/>'
            f'<text x="{across(v):.1f}" y="{bottom + 19}" text-anchor="middle">{_number(v)}</text>'
            for v in along_x
        ),
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#868e96"/>',
        (
            f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 12}" text-anchor="middle">'
            f"{escape(x.label)}</text>"
        ),
        (
            f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">'
            f"{escape(y.label)}</text>"
        ),
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _document(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
        f'<text x="{LEFT}" y="24" font-size="16" font-weight="bold">{escape(title)}</text>\n'
        f"{body}\n</svg>\n"
    )
