"""TextFrontend: text in, segments to speak out. Pure CPU, no model."""

from __future__ import annotations

import asyncio

from ray import serve

from deployments.errors import UnspeakableText
from deployments.messages import Segment
from models.kokoro.segments import split_into_segments
from models.text.korean import normalize, pronounce


class TextFrontend:
    """Reads numbers and symbols, cuts the text into segments, pronounces each."""

    def __init__(self) -> None:
        analyze("준비됐습니다.")  # loads the dictionaries before the first request

    async def ready(self) -> bool:
        """True once the dictionaries are loaded, which the constructor waits for."""
        return True

    async def analyze(self, text: str, language: str, dictionary: dict[str, str]) -> list[Segment]:
        """The segments of a text, in order; at least one.

        Raises:
            UnspeakableText: nothing in it can be read aloud.
        """
        return await asyncio.to_thread(analyze, text)


def analyze(text: str) -> list[Segment]:
    segments = [Segment(s, pronounce(s)) for s in split_into_segments(normalize(text))]
    if not segments:
        raise UnspeakableText("the text holds nothing that can be read aloud")
    return segments


text_frontend_deployment = serve.deployment(
    name="TextFrontend", ray_actor_options={"num_cpus": 0.1}
)(TextFrontend)
