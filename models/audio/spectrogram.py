"""The linear spectrogram S2 is conditioned and trained on."""

import torch
from torch import Tensor
from torch.nn import functional as F

# Under the root, so that the gradient of a silent bin stays finite; the reference's value.
_POWER_FLOOR = 1e-8


def linear_spectrogram(waveform: Tensor, n_fft: int = 2048, hop_length: int = 640) -> Tensor:
    """Magnitude of the STFT with a periodic Hann window of ``n_fft`` samples.

    The signal is extended by ``(n_fft - hop_length) / 2`` reflected samples on both sides and then
    framed without centring, which gives one frame per whole hop. Each magnitude is
    ``sqrt(re^2 + im^2 + 1e-8)``.

    Args:
        waveform: (batch, samples) in [-1, 1].
        n_fft: samples of a frame.
        hop_length: samples between frames.

    Returns:
        (batch, n_fft // 2 + 1, samples // hop_length).

    Raises:
        ValueError: too few samples to reflect.
    """
    pad = (n_fft - hop_length) // 2
    if waveform.shape[1] <= max(pad, hop_length - 1):
        raise ValueError(
            f"waveform has {waveform.shape[1]} samples; a spectrogram needs more than "
            f"{max(pad, hop_length - 1)}"
        )
    padded = F.pad(waveform.unsqueeze(1), (pad, pad), mode="reflect").squeeze(1)
    window = torch.hann_window(n_fft, device=waveform.device, dtype=waveform.dtype)
    spectrum = torch.stft(
        padded, n_fft, hop_length, n_fft, window, center=False, return_complex=True
    )
    return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + _POWER_FLOOR)
