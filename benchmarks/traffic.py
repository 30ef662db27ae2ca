"""A day's traffic: how many lines are asked for, second by second."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400
_HOUR_S = 3600
_NIGHT = 0.12
_LUNCH_H, _EVENING_H = 12.5, 21.5
_VIRAL_AT_H, _VIRAL_TIMES, _VIRAL_RISE_S, _VIRAL_HALF_LIFE_S = 15.0, 6.0, 120.0, 1800.0
_BURST_TIMES, _BURST_S = 1.6, 300.0
_BURST_STARTS_S = np.random.default_rng(7).uniform(0, DAY_S - _BURST_S, 24)

Shape = Callable[[float], float]
"""Seconds since midnight → traffic, where 1 is the evening's peak on a calm day."""


def calm(at_s: float) -> float:
    """Quiet at night, a hump at noon, the peak in the evening."""
    lunch = 0.6 * _hump(at_s, _LUNCH_H, width_h=2.5)
    evening = (1 - _NIGHT) * _hump(at_s, _EVENING_H, width_h=2.5)
    return _NIGHT + max(lunch, evening)


def bursts(at_s: float) -> float:
    """A calm day on which now and then everybody comes for five minutes."""
    since_s = at_s - _BURST_STARTS_S
    is_burst = bool(np.any((since_s >= 0) & (since_s < _BURST_S)))
    return calm(at_s) * (_BURST_TIMES if is_burst else 1.0)


def viral(at_s: float) -> float:
    """A calm day until a clip goes round: six evening peaks within two minutes, then half each
    half hour."""
    since_s = at_s - _VIRAL_AT_H * _HOUR_S
    if since_s < 0:
        return calm(at_s)
    risen = min(1.0, since_s / _VIRAL_RISE_S)
    fallen = 0.5 ** (max(0.0, since_s - _VIRAL_RISE_S) / _VIRAL_HALF_LIFE_S)
    clip: float = _VIRAL_TIMES * risen * fallen
    return calm(at_s) + clip


SHAPES: dict[str, Shape] = {"calm": calm, "bursts": bursts, "viral": viral}


def arrivals(
    shape: Shape, lines_per_s: float, tick_s: float, seed: int = 0, duration_s: float = DAY_S
) -> NDArray[np.int64]:
    """Lines that are asked for in each tick, at random around the shape (Poisson).

    Args:
        lines_per_s: where the shape is 1.
    """
    times_s = np.arange(0, duration_s, tick_s)
    expected = lines_per_s * tick_s * np.array([shape(float(at_s)) for at_s in times_s])
    return np.random.default_rng(seed).poisson(expected)


def _hump(at_s: float, at_h: float, width_h: float) -> float:
    away_h = abs(at_s / _HOUR_S - at_h)
    return math.exp(-((min(away_h, 24 - away_h) / width_h) ** 2))
