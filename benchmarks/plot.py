"""A line plot as SVG, small enough to live beside the numbers it shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _MARGIN, _LEGEND = 640, 360, 56, 18
_COLOURS = ("#0b6e99", "#d9730d", "#448361", "#9065b0", "#c14c8a", "#6b6b6b")
_NUM_TICKS = 5


def line_plot(lines: Mapping[str, Points], x_label: str, y_label: str) -> str:
    """All lines over one pair of axes that begin at zero; values that are not finite are left out.

    Args:
        lines: name → (x, y), in the order to draw.
        x_label, y_label: with units.
    """
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        for name, points in lines.items()
    }
    every = [point for points in finite.values() for point in points]
    x_max = _ceiling(max((x for x, _ in every), default=1.0))
    y_max = _ceiling(max((y for _, y in every), default=1.0))

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            _MARGIN + x / x_max * (_WIDTH - 2 * _MARGIN),
            _HEIGHT - _MARGIN - y / y_max * (_HEIGHT - 2 * _MARGIN),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for tick in range(_NUM_TICKS + 1):
        x, y = x_max * tick / _NUM_TICKS, y_max * tick / _NUM_TICKS
        (left, y_at), (right, _) = at(0, y), at(x_max, y)
        x_at, bottom = at(x, 0)
        parts += [
            f'<path d="M{left:.1f} {y_at:.1f}H{right:.1f}" stroke="#ddd"/>',
            f'<text x="{left - 6:.1f}" y="{y_at + 4:.1f}" text-anchor="end">{y:g}</text>',
            f'<text x="{x_at:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{x:g}</text>',
        ]
    for number, (name, points) in enumerate(finite.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(x, y) for x, y in points))
        legend_y = _MARGIN / 2 + _LEGEND * number
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<text x="{_MARGIN + 12}" y="{legend_y}" fill="{colour}">{escape(name)}</text>',
        ]
    parts += [
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text transform="translate(14 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _ceiling(value: float) -> float:
    """The next round number above `value`, which divides into ticks that read well."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value
    )
