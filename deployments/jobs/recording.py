"""A performance, stored: the audio in its format, and captions beside it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import groupby

import numpy as np

from deployments.driver.audio_format import AudioFormat, encode_whole
from deployments.driver.captions import sentence_cues, srt, vtt
from deployments.driver.speech import SpokenChunk
from deployments.errors import GenerationFailed
from deployments.jobs.files import AttemptFiles
from deployments.jobs.job import AudioOutput, CaptionsOutput


async def record(
    chunks: AsyncGenerator[SpokenChunk],
    encoding: AudioFormat,
    sample_rate: int,
    job_id: str,
    files: AttemptFiles,
) -> tuple[AudioOutput, CaptionsOutput]:
    """Collect what is spoken and store it.

    Args:
        chunks: the audio at `sample_rate`, segment after segment.
        encoding: of the stored file.
        sample_rate: Hz.
        job_id: whose recording it is.
        files: where it goes.

    Raises:
        GenerationFailed: there is no audio.
    """
    async with aclosing(chunks):
        spoken = [chunk async for chunk in chunks]
    if not any(len(chunk.waveform) for chunk in spoken):
        raise GenerationFailed("no audio was made")
    # Encoding a long recording takes seconds, in which other jobs go on.
    return await asyncio.to_thread(_store, spoken, encoding, sample_rate, job_id, files)


def _store(
    spoken: list[SpokenChunk],
    encoding: AudioFormat,
    sample_rate: int,
    job_id: str,
    files: AttemptFiles,
) -> tuple[AudioOutput, CaptionsOutput]:
    waveform = np.concatenate([chunk.waveform for chunk in spoken])
    content = encode_whole(waveform, encoding, sample_rate)
    audio = AudioOutput(
        url=f"/jobs/{job_id}/audio",
        format=encoding.name,
        sample_rate_hz=sample_rate,
        duration_s=round(len(waveform) / sample_rate, 3),
        etag=hashlib.sha256(content).hexdigest()[:32],
        file=files.write("audio", encoding.name, content),
    )
    cues = sentence_cues(_segment_times(spoken, sample_rate))
    captions = CaptionsOutput(
        srt=f"/jobs/{job_id}/captions.srt",
        vtt=f"/jobs/{job_id}/captions.vtt",
        srt_file=files.write("captions", "srt", srt(cues).encode()),
        vtt_file=files.write("captions", "vtt", vtt(cues).encode()),
    )
    return audio, captions


def _segment_times(spoken: list[SpokenChunk], sample_rate: int) -> list[tuple[str, float]]:
    """Text and duration of each segment."""
    times = []
    for _, group in groupby(spoken, key=lambda chunk: chunk.index):
        chunks = list(group)
        num_samples = sum(len(chunk.waveform) for chunk in chunks)
        times.append((chunks[0].segment.segment.text, num_samples / sample_rate))
    return times
