"""DNSMOS P.835: predicts how listeners rate the speech, the background, and the whole.

Reddy, Gopal & Cutler, "DNSMOS P.835" (ICASSP 2022). Trained on noise suppression, so it judges
noise and artefacts more than how natural a voice is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
WINDOW_SAMPLES = 144_160
_HOP_SAMPLES = 16_000

# Calibration of the raw outputs, as published with the weights; highest power first.
_SIGNAL = (-0.08397278, 1.22083953, 0.0052439)
_BACKGROUND = (-0.13166888, 1.60915514, -0.39604546)
_OVERALL = (-0.06766283, 1.11546468, 0.04602535)


@dataclass(frozen=True)
class DnsMosScores:
    """Predicted opinion scores, 1 to 5."""

    signal: float
    background: float
    overall: float


class DnsMos:
    """Predicts the three scores of recordings of any length.

    Args:
        folder: files of `packaged.DNSMOS`.
        num_threads: threads of one prediction.
    """

    def __init__(self, folder: Path, num_threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "sig_bak_ovr.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def predict(self, waveform: NDArray[np.float32]) -> DnsMosScores:
        """Scores of (samples,) at 16 kHz: the means over windows of 9.01 s, one a second."""
        # One at a time: thirty together take gigabytes.
        raw = np.concatenate(
            [
                self._session.run(None, {"input_1": window[None]})[0]
                for window in repeated_windows(waveform)
            ]
        )
        signal, background, overall = (
            float(np.polyval(curve, raw[:, column]).mean())
            for column, curve in enumerate((_SIGNAL, _BACKGROUND, _OVERALL))
        )
        return DnsMosScores(signal, background, overall)


def repeated_windows(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """(window, 144160); a recording that is too short is doubled until it is long enough."""
    while len(waveform) < WINDOW_SAMPLES:
        waveform = np.tile(waveform, 2)
    last = len(waveform) - WINDOW_SAMPLES
    starts = range(0, last + 1, _HOP_SAMPLES)
    return np.stack([waveform[start : start + WINDOW_SAMPLES] for start in starts])
