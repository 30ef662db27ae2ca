"""Silence at the ends of a clip."""

from torch import Tensor
from torch.nn import functional as F


def trim_silence(
    waveform: Tensor,
    sample_rate: int,
    threshold_db: float = -40.0,
    window_ms: float = 20.0,
    keep_ms: float = 100.0,
) -> Tensor:
    """Cut leading and trailing windows whose RMS is below a level.

    Args:
        waveform: (samples,) in [-1, 1].
        sample_rate: Hz.
        threshold_db: RMS level relative to full scale.
        window_ms: length of a window.
        keep_ms: silence left at either end, where there was as much.

    Returns:
        A view of the input; empty when no window is loud enough.
    """
    window = max(1, round(window_ms * sample_rate / 1000))
    keep = round(keep_ms * sample_rate / 1000)
    padded = F.pad(waveform, (0, -len(waveform) % window))
    power = padded.reshape(-1, window).square().mean(dim=1)
    loud = (power > 10 ** (threshold_db / 10)).nonzero().flatten()
    if not len(loud):
        return waveform[:0]
    start, stop = int(loud[0]) * window, (int(loud[-1]) + 1) * window
    return waveform[max(0, start - keep) : stop + keep]
