"""A share turn by turn, as SVG that stands in a page by itself."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from training.evaluation.plots import COLOURS, INK, WIDTH, svg

_HEIGHT = 190
_LEFT, _TOP, _BOTTOM = 190, 30, 160


def turns_plot(title: str, series: Mapping[str, Mapping[int, float | None]]) -> str:
    """One line for each series of shares in 0 to 1 by turn; nothing where there are no turns."""
    last = max((turn for shares in series.values() for turn in shares), default=0)
    if last < 2:
        return ""
    body = "".join(
        _line(name, shares, last, idx) for idx, (name, shares) in enumerate(series.items())
    )
    ticks = "".join(
        f'<text x="{_x(turn, last):.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{turn}</text>'
        for turn in range(1, last + 1)
    )
    return svg(
        _HEIGHT,
        f'<text x="0" y="16" font-weight="bold">{escape(title)}</text>'
        f'<path d="M{_LEFT} {_BOTTOM}H{WIDTH - 30}" stroke="{INK}"/>{ticks}{body}',
    )


def _line(name: str, shares: Mapping[int, float | None], last: int, idx: int) -> str:
    points = [
        f"{_x(turn, last):.1f},{_y(share):.1f}"
        for turn, share in shares.items()
        if share is not None
    ]
    colour = COLOURS[idx % len(COLOURS)]
    return (
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        f'<text x="{_LEFT - 10}" y="{_TOP + 20 + idx * 18}" text-anchor="end" fill="{colour}">'
        f"{escape(name)}</text>"
    )


def _x(turn: int, last: int) -> float:
    return _LEFT + 20 + (turn - 1) / (last - 1) * (WIDTH - _LEFT - 70)


def _y(share: float) -> float:
    return _BOTTOM - share * (_BOTTOM - _TOP)
