"""All checks of a clip, in the order in which their messages help most."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.audio.clip.errors import UnusableClip
from models.audio.clip.measures import clipped_share, level_dbfs, signal_to_noise_db
from models.audio.clip.one_speaker import MIN_SIMILARITY, STEP_FRAMES, least_similarity
from models.audio.clip.voice_activity import Span, speech_spans
from models.audio.load import Audio
from models.speaker import SpeakerEncoder

MIN_SPEECH_S = 3.0
MAX_CLIP_S = 10.0
MIN_LEVEL_DBFS = -45.0
MIN_SNR_DB = 15.0
MAX_CLIPPED_SHARE = 0.002
MIN_SAME_SPEAKER_SIMILARITY = 0.65
"""Between clips of one voice. Neutral clips of one synthetic speaker have 0.79 or more, 0.91 on
average; emotions change a voice further. Clips of two have 0.70, and 39 % of the pairs less than
this: it keeps out strangers, not everybody."""

_KEPT_SILENCE_S = 0.1


@dataclass(frozen=True)
class ClipReport:
    """What was measured."""

    duration_s: float
    """From the first word to the last, with 0.1 s around them."""
    speech_s: float
    level_dbfs: float
    snr_db: float
    clipped_share: float
    least_similarity: float
    """Of two parts of the clip; low where two people speak."""


@dataclass(frozen=True)
class SpokenClip:
    """A clip that passed, without the silence around its speech."""

    audio: Audio
    speaker: Tensor
    """(256,) of `SpeakerEncoder`"""
    report: ClipReport


class ClipChecker:
    """Measures clips and refuses those that would make a bad voice. Blocks for some 0.3 s a clip.

    Args:
        speakers: tells voices apart.
    """

    def __init__(self, speakers: SpeakerEncoder) -> None:
        self._speakers = speakers

    def check(self, audio: Audio) -> SpokenClip:
        """Cut off the silence around the speech, then measure what is left.

        Raises:
            UnusableClip: says what is wrong, what was measured and what is allowed.
        """
        spans = speech_spans(audio.waveform, audio.sample_rate)
        trimmed = _trimmed(audio, spans)
        speech = torch.cat([audio.waveform[:0], *(audio.waveform[a:b] for a, b in spans)])
        _check_length(len(speech) / audio.sample_rate, trimmed.duration_s)
        windows = self._speakers.embed_windows(speech, audio.sample_rate, STEP_FRAMES)
        report = ClipReport(
            duration_s=trimmed.duration_s,
            speech_s=len(speech) / audio.sample_rate,
            level_dbfs=level_dbfs(speech),
            snr_db=signal_to_noise_db(speech, audio.sample_rate),
            clipped_share=clipped_share(speech),
            least_similarity=least_similarity(windows),
        )
        _check_quality(report)
        return SpokenClip(trimmed, self._speakers.embed(speech, audio.sample_rate), report)

    def check_same_speaker(self, clip: SpokenClip, other: Audio) -> None:
        """Refuse a clip of another person than `other`, which passed before.

        Raises:
            UnusableClip: the two voices are too far apart.
        """
        similarity = float(clip.speaker @ self._speakers.embed(other.waveform, other.sample_rate))
        if similarity < MIN_SAME_SPEAKER_SIMILARITY:
            raise UnusableClip(
                "another-speaker",
                f"the clip has a similarity of {similarity:.2f} to the voice it is added to; "
                f"at least {MIN_SAME_SPEAKER_SIMILARITY} is needed",
                similarity,
                MIN_SAME_SPEAKER_SIMILARITY,
            )


def _trimmed(audio: Audio, spans: list[Span]) -> Audio:
    if not spans:
        return Audio(audio.waveform[:0], audio.sample_rate)
    kept = round(_KEPT_SILENCE_S * audio.sample_rate)
    start, stop = max(0, spans[0][0] - kept), spans[-1][1] + kept
    return Audio(audio.waveform[start:stop], audio.sample_rate)


def _check_length(speech_s: float, duration_s: float) -> None:
    if speech_s < MIN_SPEECH_S:
        raise UnusableClip(
            "too-little-speech",
            f"the clip holds {speech_s:.1f} s of speech; at least {MIN_SPEECH_S:g} s are needed",
            speech_s,
            MIN_SPEECH_S,
        )
    if duration_s > MAX_CLIP_S:
        raise UnusableClip(
            "too-long",
            f"the clip lasts {duration_s:.1f} s from its first word to its last; "
            f"at most {MAX_CLIP_S:g} s are allowed",
            duration_s,
            MAX_CLIP_S,
        )


def _check_quality(report: ClipReport) -> None:
    if report.level_dbfs < MIN_LEVEL_DBFS:
        raise UnusableClip(
            "too-quiet",
            f"the speech has a level of {report.level_dbfs:.0f} dBFS; "
            f"at least {MIN_LEVEL_DBFS:g} dBFS are needed",
            report.level_dbfs,
            MIN_LEVEL_DBFS,
        )
    if report.clipped_share > MAX_CLIPPED_SHARE:
        raise UnusableClip(
            "clipped",
            f"{report.clipped_share:.1%} of the speech is clipped; "
            f"at most {MAX_CLIPPED_SHARE:.1%} is allowed: record it at a lower level",
            report.clipped_share,
            MAX_CLIPPED_SHARE,
        )
    if report.snr_db < MIN_SNR_DB:
        raise UnusableClip(
            "too-noisy",
            f"the speech stands {report.snr_db:.0f} dB above the noise; "
            f"at least {MIN_SNR_DB:g} dB are needed",
            report.snr_db,
            MIN_SNR_DB,
        )
    if report.least_similarity < MIN_SIMILARITY:
        raise UnusableClip(
            "several-speakers",
            f"two parts of the clip have voices of a similarity of {report.least_similarity:.2f}; "
            f"at least {MIN_SIMILARITY} is needed: it must be one person throughout",
            report.least_similarity,
            MIN_SIMILARITY,
        )
