"""S1 as an engine: phonemes in, semantic tokens out, many sequences in one step."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import torch

from deployments.engine.batching.loop_detector import is_looping
from deployments.engine.batching.stepping import Load
from deployments.engine.speech.batched_checkpoints import BatchedCheckpoints, BatchSizes
from deployments.engine.speech.checkpoint_files import CheckpointFiles
from deployments.engine.speech.protocol import SemanticRequest, TokenChunk
from models.gpt_sovits.pipeline import EARLY_CHUNK_TOKENS, neutral_bert_features
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.generation import MAX_NEW_TOKENS, DecodingBatch, S1Request
from models.gpt_sovits.s1.sampling import SamplingSettings

# Korean takes 2 tokens a phoneme; the slowest of 400 sentences of our corpus took 3.1. Twice that,
# and a second for very short texts, is speech that does not end.
_MAX_TOKENS_PER_PHONEME = 6
_EXTRA_TOKENS = 25


@dataclass(frozen=True)
class SemanticSettings:
    """Sizes of the S1 engine.

    Args:
        num_slots: sequences of one checkpoint that decode together.
        capacity: cache positions of a sequence: phonemes, prompt and new tokens.
        max_waiting: sequences that may wait for a slot, over all checkpoints.
        max_checkpoints: checkpoints in memory at most.
        dtype: float32 is exact; bfloat16 is the fast path of GPUs.
        is_deterministic: every step has the rows of a full batch, so that tokens do not depend on
            how many decode; in float32 on a CPU they never do.
        tokens_per_chunk: tokens handed over together.
    """

    num_slots: int = 8
    capacity: int = 2048
    max_waiting: int = 32
    max_checkpoints: int = 4
    dtype: torch.dtype = torch.float32
    is_deterministic: bool = False
    tokens_per_chunk: int = EARLY_CHUNK_TOKENS


@dataclass(frozen=True)
class _Loaded:
    config: S1Config
    sampling: SamplingSettings


class SemanticEngine(BatchedCheckpoints[S1Request, int, _Loaded]):
    """Serves S1 of every published checkpoint. For one event loop.

    Args:
        files: where checkpoints come from.
        settings: sizes.
        on_load: see `BatchedCheckpoints`.
    """

    def __init__(
        self,
        files: CheckpointFiles,
        settings: SemanticSettings,
        on_load: Callable[[Load], None] = lambda load: None,
    ) -> None:
        self._files = files
        self._settings = settings
        sizes = BatchSizes(settings.num_slots, settings.max_waiting, settings.max_checkpoints)
        super().__init__("s1", sizes, is_looping, on_load)

    async def generate(self, request: SemanticRequest) -> AsyncGenerator[TokenChunk]:
        """The tokens of one segment; leaving the iterator frees its slot before the next step.

        Raises:
            QueueFull: too many wait already.
            CheckpointUnusable: its weights can't be served, or compute what is no number.
            ValueError: ids out of range, or a segment longer than the cache.
        """
        async with self._lease(request.checkpoint) as loaded:
            chunks = self._stream(
                request.checkpoint,
                self._s1_request(request, loaded),
                request.generated_prefix,
                self._settings.tokens_per_chunk,
                request.priority,
            )
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield TokenChunk(tuple(chunk.tokens), chunk.outcome)

    def _s1_request(self, request: SemanticRequest, loaded: _Loaded) -> S1Request:
        target = torch.tensor(request.phoneme_ids, dtype=torch.int64)
        phoneme_ids = torch.cat([request.reference.prompt_phoneme_ids, target])
        prompt_tokens = request.reference.prompt_tokens
        room = self._settings.capacity - len(phoneme_ids) - len(prompt_tokens)
        return S1Request(
            phoneme_ids=phoneme_ids,
            bert_features=neutral_bert_features(len(phoneme_ids), loaded.config.bert_dim),
            prompt_tokens=prompt_tokens,
            seed=request.seed,
            sampling=request.sampling or loaded.sampling,
            max_new_tokens=max_new_tokens(len(target), room),
            generated_prefix=torch.tensor(request.generated_prefix, dtype=torch.int64),
        )

    def _new_batch(self, name: str) -> tuple[_Loaded, DecodingBatch]:
        settings = self._settings
        row_bucket = max(2, settings.num_slots) if settings.is_deterministic else None
        decoder = self._files.semantic_decoder(name, settings.dtype, row_bucket)
        loaded = _Loaded(decoder.config, self._files.document(name).sampling.tokens())
        return loaded, DecodingBatch(decoder, settings.num_slots, settings.capacity)


def max_new_tokens(num_phonemes: int, room: int) -> int:
    """Tokens after which a segment is cut off.

    Args:
        num_phonemes: of the target text.
        room: cache positions that text and prompt leave.

    Raises:
        ValueError: there is less room than ordinary speech needs.
    """
    wanted = min(_EXTRA_TOKENS + _MAX_TOKENS_PER_PHONEME * num_phonemes, MAX_NEW_TOKENS)
    if room < wanted // 2:
        raise ValueError(
            f"a segment of {num_phonemes} phonemes needs {wanted // 2} positions of the cache or "
            f"more; beside the prompt there are {max(room, 0)}"
        )
    return min(wanted, room)
