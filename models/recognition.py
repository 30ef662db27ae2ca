"""Speech recognition with the embedded Whisper base, and the error rates measured with it."""

from __future__ import annotations

import unicodedata

import numpy as np
import soxr
from faster_whisper import WhisperModel
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from models.assets import WHISPER, require

_WHISPER_RATE_HZ = 16_000


class Recognizer:
    """Writes down what is said.

    Args:
        num_threads: threads of one recognition.

    Raises:
        models.assets.AssetError: the model was never fetched.
    """

    def __init__(self, num_threads: int = 1) -> None:
        self._model = WhisperModel(
            str(require(WHISPER)),
            device="cpu",
            compute_type="float32",
            cpu_threads=num_threads,
            local_files_only=True,
        )

    def transcribe(
        self, waveform: NDArray[np.float32], sample_rate: int, language: str = "ko"
    ) -> str:
        """The words of a mono waveform `(samples,)` in [-1, 1]; beam 5, temperature 0."""
        audio = soxr.resample(waveform, sample_rate, _WHISPER_RATE_HZ).astype(np.float32)
        segments, _ = self._model.transcribe(
            audio, language=language, beam_size=5, temperature=0.0, condition_on_previous_text=False
        )
        return " ".join(segment.text.strip() for segment in segments)


def letters_only(text: str) -> str:
    """`text` without spaces, punctuation and symbols, lower-cased: what error rates compare."""
    composed = unicodedata.normalize("NFC", text).lower()
    return "".join(char for char in composed if unicodedata.category(char)[0] in "LN")


def count_errors(reference: str, heard: str) -> tuple[int, int]:
    """Character edits between two texts, and the length of the reference, both letters only."""
    expected = letters_only(reference)
    return Levenshtein.distance(expected, letters_only(heard)), len(expected)


def character_error_rate(pairs: list[tuple[str, str]]) -> float:
    """Edits over reference characters for a whole corpus of (reference, heard) pairs."""
    counts = [count_errors(reference, heard) for reference, heard in pairs]
    return sum(edits for edits, _ in counts) / sum(length for _, length in counts)
