"""All predictors that can be had; one that can't says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import soxr
from numpy.typing import NDArray

from models.assets import Asset, AssetError, ensure
from training.evaluation.predictors.distillmos import SAMPLE_RATE, DistillMos
from training.evaluation.predictors.dnsmos import DnsMos
from training.evaluation.predictors.packaged import DISTILLMOS, DNSMOS

Predictor = TypeVar("Predictor")


@dataclass(frozen=True)
class Prediction:
    """Predicted opinion scores of one recording, 1 to 5; None where the predictor is missing."""

    distillmos: float | None = None
    dnsmos_overall: float | None = None
    dnsmos_signal: float | None = None
    dnsmos_background: float | None = None


@dataclass(frozen=True)
class Panel:
    """The predictors, and why one of them is missing."""

    distillmos: DistillMos | None
    dnsmos: DnsMos | None
    missing: Mapping[str, str] = field(default_factory=dict)

    def predict(self, waveform: NDArray[np.float32], sample_rate: int) -> Prediction:
        """Ask each predictor about (samples,) mono in [-1, 1]."""
        audio = soxr.resample(waveform, sample_rate, SAMPLE_RATE).astype(np.float32)
        distillmos = None if self.distillmos is None else self.distillmos.predict(audio)
        if self.dnsmos is None:
            return Prediction(distillmos)
        scores = self.dnsmos.predict(audio)
        return Prediction(distillmos, scores.overall, scores.signal, scores.background)


def open_panel(num_threads: int = 1, fetch: Callable[[Asset], Path] = ensure) -> Panel:
    """Fetch and load the predictors; what can't be fetched is listed in `missing`.

    Args:
        num_threads: threads of one prediction.
        fetch: returns the folder of an asset, or raises `AssetError`.
    """
    missing: dict[str, str] = {}
    distillmos = _loaded(DISTILLMOS, DistillMos, fetch, missing)
    dnsmos = _loaded(DNSMOS, partial(DnsMos, num_threads=num_threads), fetch, missing)
    return Panel(distillmos, dnsmos, missing)


def _loaded(
    asset: Asset,
    load: Callable[[Path], Predictor],
    fetch: Callable[[Asset], Path],
    missing: dict[str, str],
) -> Predictor | None:
    try:
        return load(fetch(asset))
    except AssetError as error:
        missing[asset.name] = str(error)
        return None
