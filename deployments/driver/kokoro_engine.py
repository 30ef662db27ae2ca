"""The one-stage engine: a segment's whole waveform in one call."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.driver.catalog import Style, Voice
from deployments.driver.request_context import current_timings
from deployments.driver.retry import repeated
from deployments.driver.speech_engine import Utterance, Waveform
from deployments.messages import SegmentRequest
from models.kokoro.model import SAMPLE_RATE
from models.kokoro.voice import KokoroVoice


class KokoroEngine:
    """Drives the stage `KokoroVoice`, which evens out loudness itself. The seed changes nothing.

    Args:
        kokoro_voice: handle of the stage.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, kokoro_voice: DeploymentHandle[Any]) -> None:
        self._kokoro_voice = kokoro_voice

    async def speak(self, utterance: Utterance) -> AsyncGenerator[Waveform]:
        """See `SpeechEngine`; there is one chunk."""
        settings, style = utterance.voice.settings, utterance.style
        assert isinstance(settings, KokoroVoice)
        request = SegmentRequest(
            utterance.segment, settings, style.emotion, style.speed, utterance.priority
        )
        with current_timings().measure("voice"):
            waveform: Waveform = await repeated(
                "KokoroVoice", lambda: self._kokoro_voice.synthesize.remote(request)
            )
        yield waveform

    async def prepare(self, voice: Voice, style: Style) -> None:
        """There is nothing to do ahead."""
