"""A step of fixed shapes, so that a GPU can replay it as one captured graph.

An eager step launches some hundred small kernels, and a GPU waits for the launches. Here everything
between two looks of the host, from sampling to the next logits, is one function over buffers that
stay where they are, with as many rows and keys as the smallest bucket that holds the batch:

1. the host writes slots, positions and sampling settings into the buffers of a bucket
2. the device draws a token a row, feeds it back, and leaves the next logits in its state
3. the host reads tokens and endings, once

Rows without a sequence work on a scratch slot behind all others.

On a CPU the function runs as it stands, which is how the tests compare it with the plain step. The
capture itself has not been run on a GPU yet. Each program keeps memory of its own for what it
computes in between; there are at most a dozen or two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.decoding.key_runs import whole_blocks
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.kv_cache import KVCache
from models.gpt_sovits.s1.sampling import SamplingRows, SamplingSettings, sample

_SMALLEST_KEY_BUCKET = 256
_WARM_UPS = 3  # before a capture, as CUDA libraries allocate at their first calls


@dataclass(frozen=True)
class SlotState:
    """What the device keeps of each slot between steps; the last slot is scratch.

    Attributes:
        logits: (slot, vocab) float32, of the next token.
        seeds, steps: (slot,) int64.
        is_seen: (slot, vocab) bool.
    """

    logits: Tensor
    seeds: Tensor
    steps: Tensor
    is_seen: Tensor


@dataclass(frozen=True)
class Drawn:
    """What a step drew, per row, on the host."""

    tokens: list[int]
    is_end: list[bool]
    is_finite: list[bool]


class StaticSteps:
    """Steps of one batch, one program per bucket of rows and of keys, made when first needed.

    Args:
        decoder: shared, read-only.
        cache: one slot more than the batch has, the scratch slot.
        state: of as many slots.
    """

    def __init__(self, decoder: S1Decoder, cache: KVCache, state: SlotState) -> None:
        self._decoder = decoder
        self._cache = cache
        self._state = state
        self._num_slots = cache.num_slots - 1
        # One bucket of rows, as when tokens may not depend on the load, has one of keys as well.
        is_one_bucket = decoder.row_bucket >= self._num_slots
        self._smallest_key_bucket = cache.capacity if is_one_bucket else _SMALLEST_KEY_BUCKET
        self._programs: dict[tuple[int, int], _Program] = {}

    def step(self, slots: Sequence[int], sampling: Sequence[SamplingSettings]) -> Drawn:
        """Draw a token for each slot and feed it back; the cache's lengths stay as they are."""
        lengths = [self._cache.lengths[slot] for slot in slots]
        program = self._program(
            bucket(len(slots), self._decoder.row_bucket),
            min(
                bucket(max(lengths) + 1, whole_blocks(self._smallest_key_bucket)),
                self._cache.capacity,
            ),
        )
        text_lengths = [self._cache.text_lengths[slot] for slot in slots]
        return program(slots, lengths, text_lengths, sampling)

    def _program(self, num_rows: int, num_keys: int) -> _Program:
        key = (num_rows, num_keys)
        if key not in self._programs:
            self._programs[key] = _Program(
                self._decoder, self._cache, self._state, num_rows, num_keys
            )
        return self._programs[key]


def bucket(size: int, smallest: int) -> int:
    """The smallest of `smallest`, twice, four times… that many, that holds `size`."""
    while smallest < size:
        smallest *= 2
    return smallest


class _Program:
    """The step of one bucket, with its buffers; captured where the decoder is on a GPU."""

    def __init__(
        self, decoder: S1Decoder, cache: KVCache, state: SlotState, num_rows: int, num_keys: int
    ) -> None:
        self._decoder = decoder
        self._cache = cache
        self._state = state
        self._num_keys = num_keys
        self._scratch = cache.num_slots - 1
        device = decoder.device
        # Rows of the first: slots, positions, positions among the tokens. Of the second: settings.
        self._where = torch.zeros(3, num_rows, dtype=torch.int64, device=device)
        self._where[0] = self._scratch
        self._settings = torch.ones(4, num_rows, device=device)
        self._drawn = torch.zeros(3, num_rows, dtype=torch.int64, device=device)
        self._sampling: list[SamplingSettings] = []
        self._run: Callable[[], None] = self._compute
        if device.type == "cuda":
            self._run = _captured(self._compute, device)

    def __call__(
        self,
        slots: Sequence[int],
        lengths: Sequence[int],
        text_lengths: Sequence[int],
        sampling: Sequence[SamplingSettings],
    ) -> Drawn:
        num_rows, num_padding = len(slots), self._where.shape[1] - len(slots)
        # A full sequence draws its last token, which need not be fed back: it goes anywhere.
        positions = [min(length, self._cache.capacity - 1) for length in lengths]
        audio = [length - text for length, text in zip(lengths, text_lengths, strict=True)]
        padding = [0] * num_padding
        where = [[*slots, *[self._scratch] * num_padding], positions + padding, audio + padding]
        self._where.copy_(torch.tensor(where))
        self._set_sampling([*sampling, *[SamplingSettings()] * num_padding])
        self._run()
        tokens, is_end, is_finite = self._drawn[:, :num_rows].tolist()
        return Drawn(tokens, list(map(bool, is_end)), list(map(bool, is_finite)))

    def _set_sampling(self, sampling: list[SamplingSettings]) -> None:
        if sampling == self._sampling:  # as in most steps
            return
        rows = SamplingRows.stack(sampling, self._decoder.config.vocab_size, torch.device("cpu"))
        columns = (rows.top_k.float(), rows.top_p, rows.temperature, rows.repetition_penalty)
        self._settings.copy_(torch.cat(columns, dim=1).T)
        self._sampling = sampling

    @torch.inference_mode()
    def _compute(self) -> None:
        """Everything on the device, from the logits of one step to those of the next."""
        slots, positions, audio_positions = self._where
        state = self._state
        logits = state.logits[slots]
        sampled = sample(
            logits, state.is_seen[slots], self._rows(), state.seeds[slots], state.steps[slots]
        )
        state.steps.index_add_(0, slots, torch.ones_like(slots))
        state.is_seen.index_put_((slots, sampled.tokens), torch.ones_like(sampled.is_end))
        # The end token has no embedding; what it would lead to is never looked at.
        fed_back = sampled.tokens.clamp(max=self._decoder.config.num_semantic_tokens - 1)
        attention = _GatheredAttention(self._cache, slots, positions, self._num_keys)
        state.logits[slots] = self._decoder.advance(fed_back, audio_positions, attention)
        self._drawn.copy_(torch.stack((sampled.tokens, sampled.is_end, logits.isfinite().all(1))))

    def _rows(self) -> SamplingRows:
        """The settings in their most general form, as a captured program can't choose another."""
        top_k, top_p, temperature, repetition_penalty = self._settings.unsqueeze(2)
        return SamplingRows(
            top_k.long(),
            top_p,
            temperature,
            repetition_penalty,
            max_top_k=self._decoder.config.vocab_size,
            has_top_p=True,
        )


class _GatheredAttention:
    """Every row against a copy of its own slot's keys: more traffic, but the same for any slots."""

    def __init__(self, cache: KVCache, slots: Tensor, positions: Tensor, num_keys: int) -> None:
        self._cache = cache
        self._slots = slots
        self._positions = positions
        self._num_keys = num_keys
        columns = torch.arange(num_keys, device=slots.device)
        is_hidden = columns > positions.unsqueeze(1)
        mask = torch.zeros(is_hidden.shape, dtype=cache.entries.dtype, device=slots.device)
        self._mask = mask.masked_fill_(is_hidden, -torch.inf)[:, None, None]

    def __call__(self, layer_idx: int, projected: Tensor) -> Tensor:
        entries = self._cache.entries[layer_idx]
        entries[:, self._slots, :, self._positions] = projected[:, 1:]
        keys, values = entries[..., : self._num_keys, :].index_select(1, self._slots)
        query = projected[:, 0].unsqueeze(2)
        return F.scaled_dot_product_attention(query, keys, values, self._mask).squeeze(2)


def _captured(compute: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """`compute` as a CUDA graph. Its buffers hold no sequence yet: only scratch is written."""
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                compute()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Another thread may be loading a checkpoint meanwhile, which the default mode forbids.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            compute()
    return graph.replay
