"""TextFrontend: text in, segments to speak out. Pure CPU, no model."""

from __future__ import annotations

import asyncio

from ray import serve

from deployments.errors import (
    InvalidInput,
    NotReady,
    SpeechError,
    TextTooLong,
    UnspeakableText,
    UnsupportedLanguage,
)
from deployments.messages import PronouncedSegment, StageStats
from models.text import errors, frontend
from models.text.korean import pronounce_standard
from models.zonos import segments as zonos_segments
from models.zonos.errors import MissingLibrary


class TextFrontend:
    """Reads numbers and symbols, cuts the text into segments, pronounces each."""

    def __init__(self) -> None:
        frontend.warm_up()
        self._num_active = 0

    async def ready(self) -> bool:
        """True once the dictionaries are loaded, which the constructor waits for."""
        return True

    async def analyze(
        self, text: str, language: str, dictionary: dict[str, str]
    ) -> list[PronouncedSegment]:
        """The segments of a text, in order; at least one.

        Args:
            text: as people write it.
            language: one of those the front end reads.
            dictionary: written form → reading; wins over every rule.

        Raises:
            InvalidInput: one of its kinds.
        """
        # A thread keeps the replica answering health checks while a long text is read.
        self._num_active += 1
        try:
            return await asyncio.to_thread(analyze, text, language, dictionary)
        finally:
            self._num_active -= 1

    async def analyze_for_zonos(
        self,
        text: str,
        language: str,
        dictionary: dict[str, str],
        speaking_rate: float | None = None,
    ) -> list[PronouncedSegment]:
        """The same for voices of Zonos, whose symbols and languages are others.

        Args:
            text, dictionary: see `analyze`.
            language, speaking_rate: see `models.zonos.segments.analyze`.

        Raises:
            InvalidInput: one of its kinds.
            NotReady: espeak-ng, or for Japanese SudachiPy, is not installed here.
        """
        self._num_active += 1
        try:
            return await asyncio.to_thread(
                analyze_for_zonos, text, language, dictionary, speaking_rate
            )
        finally:
            self._num_active -= 1

    async def stats(self) -> StageStats:
        """Texts that are being read."""
        return StageStats(self._num_active, waiting=0, queued_audio_s=0.0)


def analyze(text: str, language: str, dictionary: dict[str, str]) -> list[PronouncedSegment]:
    """See `TextFrontend.analyze`."""
    try:
        segments = frontend.analyze(text, language, dictionary=dictionary)
    except errors.TextError as error:
        raise to_speech_error(error) from error
    return [PronouncedSegment(segment, pronounce_standard(segment.reading)) for segment in segments]


def analyze_for_zonos(
    text: str, language: str, dictionary: dict[str, str], speaking_rate: float | None = None
) -> list[PronouncedSegment]:
    """See `TextFrontend.analyze_for_zonos`."""
    try:
        segments = zonos_segments.analyze(text, language, dictionary, speaking_rate)
    except errors.TextError as error:
        raise to_speech_error(error) from error
    except MissingLibrary as error:
        raise NotReady(str(error)) from error
    return [PronouncedSegment(segment, segment.reading) for segment in segments]


def to_speech_error(error: errors.TextError) -> SpeechError:
    """What a caller is told when the text can't be read."""
    detail = str(error)
    match error:
        case errors.EmptyText() | errors.UnspeakableText():
            return UnspeakableText(detail)
        case errors.TextTooLong():
            return TextTooLong(detail)
        case errors.UnsupportedLanguage():
            return UnsupportedLanguage(detail)
    return InvalidInput(detail)


text_frontend_deployment = serve.deployment(
    name="TextFrontend", ray_actor_options={"num_cpus": 0.1}
)(TextFrontend)
