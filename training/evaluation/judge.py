"""Speaks the texts, then listens to what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.evaluation.error_rates import count_errors, is_runaway, reading
from training.evaluation.faults import find_faults
from training.evaluation.measurements import Likeness, Sentence
from training.evaluation.predictors import Panel, Prediction
from training.evaluation.recording import Recording
from training.evaluation.speakers import Speaker


class Transcriber(Protocol):
    """Writes down what is said; `models.recognition.Recognizer` is one."""

    def transcribe(
        self, waveform: NDArray[np.float32], sample_rate: int, language: str = "ko"
    ) -> str: ...


class Embedder(Protocol):
    """Tells speakers apart; `models.speaker.SpeakerEncoder` is one."""

    def embed(self, waveform: Tensor, sample_rate: int) -> Tensor: ...


@dataclass(frozen=True)
class Spoken:
    """One text and what came out; without a recording there is an error."""

    text: str
    recording: Recording | None
    synthesis_s: float
    synthesis_cpu_s: float
    error: str | None = None


def speak_all(
    speaker: Speaker, texts: Iterable[str], after_each: Callable[[], None] = lambda: None
) -> list[Spoken]:
    """Speak one text after the other, each timed."""
    results = []
    for text in texts:
        results.append(_speak(speaker, text))
        after_each()
    return results


def _speak(speaker: Speaker, text: str) -> Spoken:
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    recording, error = None, None
    try:
        recording = speaker.speak(text)
    except ValueError as failure:
        error = f"{type(failure).__name__}: {failure}"
    if recording is not None and not len(recording.waveform):
        recording, error = None, "the audio is empty"
    synthesis_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    return Spoken(text, recording, synthesis_s, cpu_s, error)


def reference_embedding(embedder: Embedder, recordings: Sequence[Recording]) -> Tensor:
    """(dim,) of unit length: the mean speaker of some recordings.

    Raises:
        ValueError: there is none, or all are silent.
    """
    embeddings = [_embedding(embedder, recording) for recording in recordings]
    heard = [embedding for embedding in embeddings if embedding is not None]
    if not heard:
        raise ValueError("no recording holds a speaker to compare with")
    return F.normalize(torch.stack(heard).mean(dim=0), dim=0)


@dataclass(frozen=True)
class Judge:
    """Listens with a recogniser, a speaker encoder and the predictors.

    `references` are speaker embeddings by voice, that of the voice on trial among them.
    """

    transcriber: Transcriber
    embedder: Embedder
    panel: Panel
    references: Mapping[str, Tensor]
    language: str = "ko"

    def listen(
        self, spoken: Spoken, voice: str, has_cpu_time: bool, is_whole: bool = False
    ) -> Sentence:
        """Measure one recording.

        Args:
            spoken: the recording, or why there is none.
            voice: who should be heard; one of `references`.
            has_cpu_time: whether the synthesis ran in this process.
            is_whole: only ask whether the text came out as a whole; whose voice it is and how it
                sounds is measured on sentences.
        """
        if spoken.recording is None:
            return Sentence(spoken.text, error=spoken.error)
        recording = spoken.recording
        faults = find_faults(recording.waveform, recording.sample_rate)
        is_audible = "not finite" not in faults and "silence" not in faults
        expected = reading(spoken.text, self.language)
        heard = reading(self._transcribe(recording), self.language) if is_audible else ""
        return Sentence(
            text=spoken.text,
            duration_s=recording.duration_s,
            synthesis_s=spoken.synthesis_s,
            synthesis_cpu_s=spoken.synthesis_cpu_s if has_cpu_time else None,
            expected=expected,
            heard=heard,
            errors=count_errors(expected, heard),
            is_runaway=is_runaway(expected, heard, recording.duration_s),
            faults=faults,
            likeness=self._likeness(recording, voice) if is_audible and not is_whole else None,
            prediction=Prediction()
            if is_whole or "not finite" in faults
            else self.panel.predict(recording.waveform, recording.sample_rate),
        )

    def _transcribe(self, recording: Recording) -> str:
        return self.transcriber.transcribe(recording.waveform, recording.sample_rate, self.language)

    def _likeness(self, recording: Recording, voice: str) -> Likeness | None:
        embedding = _embedding(self.embedder, recording)
        if embedding is None:
            return None
        cosines = {name: float(embedding @ other) for name, other in self.references.items()}
        nearest = max(cosines, key=cosines.__getitem__)
        return Likeness(cosines[voice], nearest, is_confused=nearest != voice)


def _embedding(embedder: Embedder, recording: Recording) -> Tensor | None:
    """None for a recording without a sound."""
    if not np.any(recording.waveform) or not np.isfinite(recording.waveform).all():
        return None
    return embedder.embed(torch.from_numpy(recording.waveform), recording.sample_rate)
