"""A reference clip as S2 wants to see it."""

from torch import Tensor

from models.audio.resample import resample
from models.audio.spectrogram import linear_spectrogram
from models.gpt_sovits.s2.config import S2Config

# The reference never divides by more, however loud the clip.
_MAX_ATTENUATION = 2.0


def reference_spectrogram(waveform: Tensor, sample_rate: int, config: S2Config) -> Tensor:
    """Linear spectrogram of a clip at the voice's rate; clips above full scale are attenuated.

    Args:
        waveform: (samples,) mono, at its native rate.
        sample_rate: Hz.
        config: the voice's sizes.

    Returns:
        (bin, frame).

    Raises:
        ValueError: the clip is shorter than one frame of the spectrogram.
    """
    waveform = resample(waveform, sample_rate, config.sample_rate)
    peak = float(waveform.abs().max()) if len(waveform) else 0.0
    if peak > 1.0:
        waveform = waveform / min(_MAX_ATTENUATION, peak)
    return linear_spectrogram(waveform.unsqueeze(0), config.n_fft, config.hop_length)[0]
