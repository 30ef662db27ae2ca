"""S1 and S2 in a row over the graph, each of which may lose its replica on the way."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.calls import Response
from deployments.driver.request_context import current_timings
from deployments.driver.retry import repeated, resumed
from deployments.driver.speech_engine import Waveform
from deployments.engine.batching.priority import Priority
from deployments.engine.speech.protocol import (
    EarlyAudio,
    EarlyRequest,
    SemanticRequest,
    TokenChunk,
    WaveformRequest,
)
from deployments.errors import GenerationFailed
from models.gpt_sovits.pipeline import EARLY_CHUNK_TOKENS, ReferenceFeatures
from models.gpt_sovits.s2.early_streaming import EarlyChunk

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
        priority: whether somebody listens.
    """

    checkpoint: str
    phoneme_ids: tuple[int, ...]
    reference: ReferenceFeatures
    seed: int
    speed: float
    priority: Priority = "interactive"


class TwoStages:
    """Speaks as `speak` and `speak_early` of `models.gpt_sovits.pipeline`, sample for sample.

    Closing an iterator ends the work of both stages.

    Args:
        semantic_decoder, vocoder: handles of the stages.
    """

    def __init__(
        self, semantic_decoder: DeploymentHandle[Any], vocoder: DeploymentHandle[Any]
    ) -> None:
        self._semantic_tokens = semantic_decoder.options(stream=True)
        self._waveform_chunks = vocoder.options(stream=True)
        self._vocoder = vocoder

    async def speak(self, request: TwoStageRequest) -> AsyncGenerator[Waveform]:
        """Chunks of (samples,) at 32 kHz as S2 makes them of all tokens (the exact mode)."""
        with current_timings().measure("s1"):
            async with aclosing(self._token_chunks(request)) as chunks:
                tokens = tuple([token async for chunk in chunks for token in chunk])
        waveform_request = WaveformRequest(
            checkpoint=request.checkpoint,
            semantic_tokens=tokens,
            phoneme_ids=request.phoneme_ids,
            reference=request.reference,
            seed=request.seed,
            speed=request.speed,
            priority=request.priority,
        )
        started = time.perf_counter()
        try:
            async with aclosing(self._waveforms(waveform_request)) as waveforms:
                async for waveform in waveforms:
                    yield waveform
        finally:
            current_timings().add("s2", time.perf_counter() - started)

    async def speak_early(self, request: TwoStageRequest) -> AsyncGenerator[Waveform]:
        """Chunks of (samples,) at 32 kHz while tokens are being generated (the early mode).

        A death of either stage changes no sample here as well: tokens are grouped by their number,
        not by how they travelled, and S2 remembers nothing, as each call brings what the one
        before held back. Beyond repair the stream ends with `NotReady`, behind what was right.
        """
        tokens: tuple[int, ...] = ()
        held_back: EarlyChunk | None = None
        async with aclosing(self._token_chunks(request)) as chunks:
            async with aclosing(regrouped(chunks, EARLY_CHUNK_TOKENS)) as groups:
                async for new_tokens in groups:
                    tokens += new_tokens
                    wanted = EarlyRequest(
                        checkpoint=request.checkpoint,
                        semantic_tokens=tokens,
                        num_new_tokens=len(new_tokens),
                        phoneme_ids=request.phoneme_ids,
                        reference=request.reference,
                        seed=request.seed,
                        speed=request.speed,
                        previous=held_back,
                        priority=request.priority,
                    )
                    with current_timings().measure("s2"):
                        audio = await self._early_audio(wanted)
                    yield audio.waveform
                    held_back = audio.held_back
        if held_back is not None:
            yield held_back.waveform.numpy()

    async def _token_chunks(self, request: TwoStageRequest) -> AsyncGenerator[tuple[int, ...]]:
        """The tokens of a segment as S1 hands them over, to the last."""
        tokens: tuple[int, ...] = ()

        def rest() -> Response:
            wanted = SemanticRequest(
                checkpoint=request.checkpoint,
                phoneme_ids=request.phoneme_ids,
                reference=request.reference,
                seed=request.seed,
                generated_prefix=tokens,
                priority=request.priority,
            )
            return self._semantic_tokens.generate.remote(wanted)

        async with aclosing(resumed("SemanticDecoder", rest)) as chunks:
            async for chunk in chunks:
                assert isinstance(chunk, TokenChunk)
                tokens += chunk.tokens
                yield chunk.tokens
                if chunk.finish_reason is not None:
                    _log_cut(chunk.finish_reason, request, len(tokens))
                    return
        raise GenerationFailed("the semantic tokens broke off")

    async def _waveforms(self, request: WaveformRequest) -> AsyncGenerator[Waveform]:
        num_samples = 0

        def rest() -> Response:
            return self._waveform_chunks.synthesize.remote(
                replace(request, skip_samples=num_samples)
            )

        async with aclosing(resumed("Vocoder", rest)) as waveforms:
            async for waveform in waveforms:
                num_samples += len(waveform)
                yield waveform

    async def _early_audio(self, request: EarlyRequest) -> EarlyAudio:
        audio = await repeated("Vocoder", lambda: self._vocoder.synthesize_early.remote(request))
        assert isinstance(audio, EarlyAudio)
        return audio


async def regrouped(
    chunks: AsyncIterator[tuple[int, ...]], size: int
) -> AsyncGenerator[tuple[int, ...]]:
    """The same tokens in groups of `size`, the last one perhaps smaller.

    What early mode makes of a segment depends on its groups, so they must not depend on how tokens
    happened to travel.
    """
    waiting: tuple[int, ...] = ()
    async for chunk in chunks:
        waiting += chunk
        while len(waiting) >= size:
            yield waiting[:size]
            waiting = waiting[size:]
    if waiting:
        yield waiting


def _log_cut(reason: str, request: TwoStageRequest, num_tokens: int) -> None:
    if reason != "stop":
        logger.warning(
            "%d phonemes became %d tokens and were cut off: %s",
            *(len(request.phoneme_ids), num_tokens, reason),
        )
