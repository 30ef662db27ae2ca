import asyncio
import io
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deployments.driver.audio_format import audio_format
from deployments.driver.speech import SpokenChunk
from deployments.errors import GenerationFailed
from deployments.jobs.files import AttemptFiles
from deployments.jobs.ids import folder_of, new_job_id
from deployments.jobs.job import AudioOutput, CaptionsOutput
from deployments.jobs.recording import record
from deployments.messages import PronouncedSegment
from models.storage import FolderStore
from models.text.frontend import analyze

RATE = 24_000


async def spoken(*durations_s: float) -> AsyncGenerator[SpokenChunk]:
    """Segments of two chunks each, and the empty chunk that ends them."""
    for index, duration_s in enumerate(durations_s):
        (segment,) = analyze(f"문장 {index}입니다.", "ko")
        pronounced = PronouncedSegment(segment, segment.reading)
        half = np.full(round(duration_s * RATE / 2), 0.1, np.float32)
        for waveform in (half, half):
            yield SpokenChunk(index, pronounced, waveform, is_last=False)
        yield SpokenChunk(index, pronounced, half[:0], is_last=True)


def recorded(
    store: FolderStore, job_id: str, attempt: int, *durations_s: float
) -> tuple[AudioOutput, CaptionsOutput]:
    files = AttemptFiles(store, job_id, attempt)
    chunks = spoken(*durations_s)
    return asyncio.run(record(chunks, audio_format("wav"), RATE, job_id, files))


def test_a_recording_is_stored_with_the_times_of_its_sentences(tmp_path: Path) -> None:
    store, job_id = FolderStore(tmp_path), new_job_id()
    audio, captions = recorded(store, job_id, 1, 1.0, 0.5)
    folder = folder_of(job_id)
    assert store.children(folder) == ["audio.wav", "captions.srt", "captions.vtt"]
    samples, rate = soundfile.read(io.BytesIO(store.read(f"{folder}/{audio.file}")))
    assert (len(samples) / rate, audio.duration_s) == (1.5, 1.5)
    assert store.read(f"{folder}/{captions.srt_file}").decode() == (
        "1\n00:00:00,000 --> 00:00:01,000\n문장 0입니다.\n\n"
        "2\n00:00:01,000 --> 00:00:01,500\n문장 1입니다.\n"
    )
    assert store.read(f"{folder}/{captions.vtt_file}").startswith(b"WEBVTT\n")


def test_two_attempts_never_share_a_file(tmp_path: Path) -> None:
    store, job_id = FolderStore(tmp_path), new_job_id()
    first, _ = recorded(store, job_id, 1, 1.0)
    second, captions = recorded(store, job_id, 2, 0.5)
    assert (first.file, second.file, captions.srt_file) == (
        "audio.wav",
        "audio-2.wav",
        "captions-2.srt",
    )
    assert first.url == second.url
    assert first.etag != second.etag


@pytest.mark.parametrize("durations_s", [(), (0.0,)])
def test_a_recording_without_audio_is_a_failure(
    tmp_path: Path, durations_s: tuple[float, ...]
) -> None:
    store = FolderStore(tmp_path)
    with pytest.raises(GenerationFailed, match="no audio"):
        recorded(store, new_job_id(), 1, *durations_s)
    assert store.children("jobs") == []
