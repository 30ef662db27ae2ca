"""What an SSL encoder is, and how a reference clip goes through one."""

from typing import Protocol

import torch
from torch import Tensor

SSL_SAMPLE_RATE = 16_000
MIN_REFERENCE_SAMPLES = 3 * SSL_SAMPLE_RATE
MAX_REFERENCE_SAMPLES = 10 * SSL_SAMPLE_RATE


class SslEncoder(Protocol):
    """Waveform to features on the 50 Hz frame clock.

    Small voices use another encoder than the published ones; which one made a voice's tokens is
    part of the voice.
    """

    @property
    def dim(self) -> int:
        """Channels of a frame; the voice's ``ssl_dim``."""
        ...

    @property
    def reference_padding_samples(self) -> int:
        """Zeros behind a reference clip; their frames belong to the prompt."""
        ...

    def encode(self, waveform: Tensor) -> Tensor:
        """Features of (batch, samples) at 16 kHz: (batch, frame, dim)."""
        ...


@torch.no_grad()
def reference_features(encoder: SslEncoder, waveform: Tensor) -> Tensor:
    """Features of a reference clip, as prompts are made of it.

    Args:
        encoder: the voice's encoder.
        waveform: (samples,) mono at 16 kHz.

    Returns:
        (1, frame, dim), over the clip and the zeros the encoder wants behind it.

    Raises:
        ValueError: the clip is shorter than 3 s or longer than 10 s.
    """
    if not MIN_REFERENCE_SAMPLES <= len(waveform) <= MAX_REFERENCE_SAMPLES:
        raise ValueError(
            f"the reference lasts {len(waveform) / SSL_SAMPLE_RATE:.2f} s; "
            "it must last between 3 and 10 s"
        )
    padding = waveform.new_zeros(encoder.reference_padding_samples)
    return encoder.encode(torch.cat([waveform, padding]).unsqueeze(0))
