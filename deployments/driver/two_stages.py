"""S1 and S2 in a row over the graph, each of which may lose its replica on the way."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.driver.request_context import current_timings
from deployments.driver.retry import resumed
from deployments.driver.speech_engine import Waveform
from deployments.engine.speech.protocol import SemanticRequest, TokenChunk, WaveformRequest
from deployments.errors import GenerationFailed
from models.gpt_sovits.pipeline import ReferenceFeatures

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class TwoStageRequest:
    """One segment for both stages.

    Args:
        checkpoint: `id@version` of the weights.
        phoneme_ids: of the text.
        reference: whose voice.
        seed: of tokens and noise.
        speed: 1 is the voice's own pace.
    """

    checkpoint: str
    phoneme_ids: tuple[int, ...]
    reference: ReferenceFeatures
    seed: int
    speed: float


class TwoStages:
    """Speaks as `models.gpt_sovits.pipeline.speak` does, sample for sample.

    Args:
        semantic_decoder, vocoder: handles of the stages.
    """

    def __init__(
        self, semantic_decoder: DeploymentHandle[Any], vocoder: DeploymentHandle[Any]
    ) -> None:
        self._semantic_decoder = semantic_decoder.options(stream=True)
        self._vocoder = vocoder.options(stream=True)

    async def speak(self, request: TwoStageRequest) -> AsyncGenerator[Waveform]:
        """Chunks of (samples,) at 32 kHz as S2 makes them; closing ends both stages' work."""
        with current_timings().measure("s1"):
            tokens = await self._semantic_tokens(request)
        waveform_request = WaveformRequest(
            checkpoint=request.checkpoint,
            semantic_tokens=tokens,
            phoneme_ids=request.phoneme_ids,
            reference=request.reference,
            seed=request.seed,
            speed=request.speed,
        )
        started = time.perf_counter()
        try:
            async with aclosing(self._waveforms(waveform_request)) as waveforms:
                async for waveform in waveforms:
                    yield waveform
        finally:
            current_timings().add("s2", time.perf_counter() - started)

    async def _semantic_tokens(self, request: TwoStageRequest) -> tuple[int, ...]:
        """All tokens of a segment; S2 sees none before the last (see the exact mode)."""
        tokens: tuple[int, ...] = ()

        def rest() -> Any:
            wanted = SemanticRequest(
                request.checkpoint, request.phoneme_ids, request.reference, request.seed
            )
            return self._semantic_decoder.generate.remote(replace(wanted, generated_prefix=tokens))

        async with aclosing(resumed("SemanticDecoder", rest)) as chunks:
            async for chunk in chunks:
                assert isinstance(chunk, TokenChunk)
                tokens += chunk.tokens
                if chunk.finish_reason is None:
                    continue
                if chunk.finish_reason != "stop":
                    logger.warning(
                        "%d phonemes became %d tokens and were cut off: %s",
                        *(len(request.phoneme_ids), len(tokens), chunk.finish_reason),
                    )
                return tokens
        raise GenerationFailed("the semantic tokens broke off")

    async def _waveforms(self, request: WaveformRequest) -> AsyncGenerator[Waveform]:
        num_samples = 0

        def rest() -> Any:
            return self._vocoder.synthesize.remote(replace(request, skip_samples=num_samples))

        async with aclosing(resumed("Vocoder", rest)) as waveforms:
            async for waveform in waveforms:
                num_samples += len(waveform)
                yield waveform
