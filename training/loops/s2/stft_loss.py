"""Multi-resolution STFT loss (Yamamoto et al., 2020, Parallel WaveGAN).

It stands in for the discriminators while there are none: without it a decoder trained on mel
bands alone is free in everything finer.
"""

from __future__ import annotations

import torch
from torch import Tensor

# (samples of a window, samples between windows)
RESOLUTIONS = ((512, 128), (1024, 256), (256, 64))
_POWER_FLOOR = 1e-7
# Root mean square of a target's magnitudes that counts as silence. Without a floor a silent slice
# of 0.3 s, of which spoken corpora have many, outweighs all others a hundredfold.
_SILENCE = 0.2


def multi_resolution_stft_loss(waveform: Tensor, target: Tensor) -> Tensor:
    """Mean over resolutions of spectral convergence and log-magnitude distance.

    Args:
        waveform, target: (batch, samples), at least half the longest window long.

    Returns:
        A scalar, the mean over the rows, each compared by itself.
    """
    terms = [_at_resolution(waveform.float(), target.float(), *r) for r in RESOLUTIONS]
    return torch.stack(terms).mean()


def _at_resolution(waveform: Tensor, target: Tensor, window: int, hop: int) -> Tensor:
    ours, theirs = _magnitude(waveform, window, hop), _magnitude(target, window, hop)
    distance = torch.linalg.vector_norm(theirs - ours, dim=(1, 2))
    norm = torch.linalg.vector_norm(theirs, dim=(1, 2))
    convergence = distance / norm.clamp(min=_SILENCE * theirs[0].numel() ** 0.5)
    loss: Tensor = convergence.mean() + (theirs.log() - ours.log()).abs().mean()
    return loss


def _magnitude(waveform: Tensor, window: int, hop: int) -> Tensor:
    shape = torch.hann_window(window, device=waveform.device)
    spectrum = torch.stft(waveform, window, hop, window, shape, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    return power.clamp(min=_POWER_FLOOR).sqrt()
