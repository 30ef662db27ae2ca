"""From text to speech with one voice: the path of a single request, without a service around it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import soxr

from models import assets
from models.kokoro.errors import InvalidVoice, NothingToSpeak, OutOfRange
from models.kokoro.korean_ipa import to_ipa
from models.kokoro.loudness import match_loudness
from models.kokoro.model import SAMPLE_RATE, STYLE_DIM, KokoroModel, Waveform
from models.kokoro.voice import KokoroVoice, Mixture, Variant
from models.text.frontend import analyze
from models.text.korean import pronounce_standard
from models.text.splitting import SplitLimits

MIN_REQUEST_SPEED, MAX_REQUEST_SPEED = 0.5, 2.0

_TIMBRE_DIM = STYLE_DIM // 2
# A style table has a row for every number of tokens. Those for long texts speak calmer and clearer,
# short texts as well: Whisper misreads a sixth less than with the row of the text's own length.
_STYLE_ROW = 300
_HANGUL = re.compile("[가-힣]")
_FINAL_MARKS = ".!?…,;:"


class KokoroEngine:
    """Speaks segments, one after the other, each in any voice.

    Nothing of a request stays behind: a segment sounds the same whatever was spoken before it.
    """

    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        folder: Path | None = None,
        num_threads: int = 1,
        style_row: int | None = _STYLE_ROW,
    ) -> None:
        """Load the network.

        Args:
            folder: files of `models.assets.KOKORO`; by default the fetched ones.
            num_threads: threads of one synthesis.
            style_row: of the style tables; None takes that of each text's length.

        Raises:
            models.assets.AssetError: no folder was given and the model was never fetched.
        """
        self.model = KokoroModel(folder or assets.require(assets.KOKORO), num_threads)
        self._style_row = style_row

    def synthesize_segment(
        self, pronounced: str, voice: KokoroVoice, emotion: str = "neutral", speed: float = 1.0
    ) -> Waveform:
        """Speak one segment, and the pause that its last mark asks for.

        What the network can't speak in one go (a web address may be that long) is spoken in halves.

        Args:
            pronounced: Hangul as `models.text.korean.pronounce` gives it.
            voice: who speaks.
            emotion: one of `voice.EMOTIONS`; the voice uses the nearest variant it has.
            speed: 0.5 to 2; larger is faster, pauses included.

        Returns:
            `(samples,)` float32 mono at 24 kHz, within [-1, 1].

        Raises:
            NothingToSpeak: the segment holds no Hangul.
            OutOfRange: the speed is not allowed.
            InvalidVoice: an unknown emotion, or a style the network does not have.
        """
        if not MIN_REQUEST_SPEED <= speed <= MAX_REQUEST_SPEED:
            raise OutOfRange(
                f"speed is {speed}; it must be from {MIN_REQUEST_SPEED} to {MAX_REQUEST_SPEED}"
            )
        variant = voice.variant(emotion)
        ipa = sentence(to_ipa(pronounced))
        if len(ipa) > self.model.max_tokens:
            halves = _halves(pronounced)
            return np.concatenate(
                [self.synthesize_segment(half, voice, emotion, speed) for half in halves]
            )
        style = self.style(voice, variant, len(ipa))
        # Pitch is raised by playing faster what was spoken slower.
        pitch_ratio = 2 ** (variant.pitch_semitones / 12)
        waveform = self.model.synthesize(ipa, style, speed * variant.speed / pitch_ratio)
        waveform = _shift_pitch(waveform, pitch_ratio)
        waveform = match_loudness(waveform, voice.loudness_lufs, voice.true_peak_dbtp)
        pause = np.zeros(round(voice.pause_s(pronounced) / speed * SAMPLE_RATE), np.float32)
        return np.concatenate((waveform, pause))

    def style(self, voice: KokoroVoice, variant: Variant, num_tokens: int) -> Waveform:
        """Style vector of a voice in one emotion for a text of so many tokens, `(256,)`.

        Raises:
            InvalidVoice: a style the network does not have.
        """
        row = num_tokens if self._style_row is None else self._style_row
        timbre, prosody = self._mix(voice.timbre, row), self._mix(variant.prosody, row)
        return np.concatenate((timbre[:_TIMBRE_DIM], prosody[_TIMBRE_DIM:]))

    def _mix(self, mixture: Mixture, row: int) -> Waveform:
        """Weighted sum of styles, `(256,)`."""
        styles = self.model.styles
        if unknown := sorted(set(mixture) - set(styles)):
            raise InvalidVoice(
                f"the network has no style {unknown[0]!r}; it has {', '.join(sorted(styles))}"
            )
        weighted = [styles[name][row] * np.float32(weight) for name, weight in mixture.items()]
        return np.asarray(np.sum(weighted, axis=0), np.float32)


def speak(
    text: str,
    voice: KokoroVoice,
    engine: KokoroEngine,
    emotion: str = "neutral",
    speed: float = 1.0,
    limits: SplitLimits | None = None,
) -> Waveform:
    """Speak written Korean of any length, segment by segment.

    Args:
        limits: lengths of segments; by default those of the text front end.

    Returns:
        `(samples,)` float32 mono at 24 kHz.

    Raises:
        models.text.errors.TextError: the text is empty, too long, or nothing in it can be read.
    """
    segments = analyze(text, voice.language, limits=limits or SplitLimits())
    return np.concatenate(
        [
            engine.synthesize_segment(pronounce_standard(segment.reading), voice, emotion, speed)
            for segment in segments
        ]
    )


def sentence(ipa: str) -> str:
    """A segment's IPA as the network gets it; without a mark it may swallow the last syllable.

    Raises:
        NothingToSpeak: there is no sound in it.
    """
    if not any(symbol.isalpha() for symbol in ipa):
        raise NothingToSpeak("there is nothing to speak in this segment")
    return ipa if ipa.endswith(tuple(_FINAL_MARKS)) else ipa + "."


def _halves(pronounced: str) -> list[str]:
    """Cut at the space nearest to the middle, else in the middle; parts without Hangul are left."""
    middle = len(pronounced) // 2
    spaces = [at for at, char in enumerate(pronounced) if char == " "]
    cut = min(spaces, key=lambda at: abs(at - middle), default=middle)
    if not len(pronounced) // 4 < cut < 3 * len(pronounced) // 4:
        cut = middle
    return [half for half in (pronounced[:cut], pronounced[cut:]) if _HANGUL.search(half)]


def _shift_pitch(waveform: Waveform, ratio: float) -> Waveform:
    if ratio == 1.0:
        return waveform
    resampled = soxr.resample(waveform, SAMPLE_RATE * ratio, SAMPLE_RATE)
    return np.asarray(resampled, np.float32)
