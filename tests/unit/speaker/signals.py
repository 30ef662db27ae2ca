"""Voiced-like signals that follow from a few numbers, so that no audio has to be stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000

# seconds, pitch in Hz, amplitude: below one window, exactly one, several, a covered and an
# uncovered last one, and a clip so quiet that its level is raised.
CASES = ((0.5, 110, 0.3), (1.6, 180, 0.3), (2.9, 140, 0.3), (3.3, 220, 0.5), (7.77, 95, 0.004))


def voiced(seconds: float, pitch_hz: float, amplitude: float) -> NDArray[np.float32]:
    """Harmonics of a gliding pitch, weaker towards the top, in syllables of a quarter second."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * pitch_hz * (times + 0.05 * np.sin(2 * np.pi * 0.7 * times))
    harmonics = sum(np.sin(k * phase) / k for k in range(1, 25))
    return (amplitude * harmonics * np.sin(2 * np.pi * 2 * times) ** 2).astype(np.float32)
