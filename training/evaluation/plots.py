"""Plots as SVG, drawn here so that a report needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 860
_PANEL_HEIGHT = 92
_LABEL_WIDTH = 190
_RIGHT = 30
COLOURS = ("#2f7ed8", "#e07a1f")
INK = "#808080"  # readable on white and on black
_LANE = 22


@dataclass(frozen=True)
class Series:
    """Values of one voice."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """One row of dots for each voice on a common axis.

    `limit` is drawn as a line; `is_percentage` says how the axis is labelled.
    """

    title: str
    series: Sequence[Series]
    low: float
    high: float
    limit: float | None = None
    is_percentage: bool = False


def figure(panels: Sequence[Panel]) -> str:
    """All panels under each other, as one `<svg>`."""
    height = _PANEL_HEIGHT * len(panels) + 8
    body = "".join(_panel(panel, idx * _PANEL_HEIGHT) for idx, panel in enumerate(panels))
    return svg(height, body)


def svg(height: int, body: str) -> str:
    """A picture of the plots' width; it stands in a page, or by itself."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12" '
        f'fill="{INK}" role="img">{body}</svg>'
    )


def _panel(panel: Panel, top: float) -> str:
    axis = top + 22 + _LANE * 2
    parts = [
        f'<text x="0" y="{top + 16}" font-weight="bold">{escape(panel.title)}</text>',
        f'<path d="M{_LABEL_WIDTH} {axis}H{WIDTH - _RIGHT}" stroke="{INK}"/>',
    ]
    for part in range(5):
        value = panel.low + (panel.high - panel.low) * part / 4
        x = _x(panel, value)
        parts.append(f'<path d="M{x:.1f} {axis}v4" stroke="{INK}"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{axis + 17}" text-anchor="middle">{_tick(panel, value)}</text>'
        )
    for idx, series in enumerate(panel.series):
        parts.append(_dots(panel, series, top + 34 + _LANE * idx, COLOURS[idx % len(COLOURS)]))
    if panel.limit is not None:
        x = _x(panel, panel.limit)
        parts.append(
            f'<path d="M{x:.1f} {top + 20}V{axis}" stroke="#c0392b" stroke-dasharray="4 3">'
            f"<title>limit {_tick(panel, panel.limit)}</title></path>"
        )
    return "".join(parts)


def _dots(panel: Panel, series: Series, y: float, colour: str) -> str:
    """A dot for each value, a bar at their mean."""
    if not series.values:
        return f'<text x="{_LABEL_WIDTH}" y="{y + 4}">{escape(series.name)}: not available</text>'
    dots = "".join(
        f'<circle cx="{_x(panel, value):.1f}" cy="{y + (idx % 5 - 2) * 2}" r="3"/>'
        for idx, value in enumerate(series.values)
    )
    mean = sum(series.values) / len(series.values)
    x = _x(panel, mean)
    return (
        f'<g fill="{colour}" fill-opacity="0.45">{dots}</g>'
        f'<path d="M{x:.1f} {y - 9}v18" stroke="{colour}" stroke-width="3"/>'
        f'<text x="{_LABEL_WIDTH - 10}" y="{y + 4}" text-anchor="end">'
        f"{escape(series.name)} {_tick(panel, mean)}</text>"
    )


def _x(panel: Panel, value: float) -> float:
    part = (min(max(value, panel.low), panel.high) - panel.low) / (panel.high - panel.low)
    return _LABEL_WIDTH + part * (WIDTH - _LABEL_WIDTH - _RIGHT)


def _tick(panel: Panel, value: float) -> str:
    return f"{value:.0%}" if panel.is_percentage else f"{value:.2f}".rstrip("0").rstrip(".")
