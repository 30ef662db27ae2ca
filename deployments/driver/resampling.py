"""The reply's sample rate: the one place where engines of different rates meet."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np
import soxr

from deployments.driver.speech_engine import Waveform


async def resampled(
    waveforms: AsyncIterator[Waveform], from_hz: int, to_hz: int
) -> AsyncGenerator[Waveform]:
    """A segment's chunks at another rate.

    A chunk is held back by a few milliseconds until the next one is known; the last is what is left
    of it, perhaps nothing. Where the chunks are cut does not change the audio.
    """
    if from_hz == to_hz:
        async for waveform in waveforms:
            yield waveform
        return
    resampler = soxr.ResampleStream(from_hz, to_hz, num_channels=1, dtype="float32")
    async for waveform in waveforms:
        yield resampler.resample_chunk(waveform)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
