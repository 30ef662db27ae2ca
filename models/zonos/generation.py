"""Sequences from first column to last: they join a running batch, step together, and leave it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from models.zonos.codes import CODEBOOK_SIZE, MAX_FRAMES, NUM_CODEBOOKS, NUM_LOGITS
from models.zonos.columns import ColumnWriter, FinishReason, Frame
from models.zonos.guidance import check_guidance_scale, guided
from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.kv_cache import PairedKVCache
from models.zonos.sampling import SamplingRows, SamplingSettings, sample

GUIDANCE_SCALE = 2.0


@dataclass(frozen=True)
class ZonosRequest:
    """Everything that one sequence is generated from.

    Attributes:
        prefix: (2, position, channel): with the conditions, and without.
        seed: any int64; the same request with the same seed gives the same frames.
        prompt: frames of audio to continue; may be empty.
        sampling: how codes are drawn.
        guidance_scale: above 1; how far to go from what the text alone would sound like.
        max_new_frames: the sequence ends here at the latest, with reason "length".
        generated_prefix: frames that this request has generated already; generation goes on with
            the frame after as if it had not been interrupted.
        has_upstream_writes: see `ColumnWriter`.
    """

    prefix: Tensor
    seed: int
    prompt: Sequence[Frame] = ()
    sampling: SamplingSettings = SamplingSettings()
    guidance_scale: float = GUIDANCE_SCALE
    max_new_frames: int = MAX_FRAMES
    generated_prefix: Sequence[Frame] = ()
    has_upstream_writes: bool = False

    def __post_init__(self) -> None:
        check_guidance_scale(self.guidance_scale)
        if not 1 <= self.max_new_frames <= MAX_FRAMES:
            raise ValueError(f"max_new_frames must be 1 to {MAX_FRAMES}, not {self.max_new_frames}")
        if not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"seed must fit in 64 bits with a sign, not {self.seed}")
        if len(self.generated_prefix) >= self.max_new_frames:
            raise ValueError(
                f"generated_prefix has {len(self.generated_prefix)} frames; it must be shorter "
                f"than max_new_frames = {self.max_new_frames}"
            )
        _check_frames("prompt", self.prompt)
        _check_frames("generated_prefix", self.generated_prefix)

    @property
    def max_positions(self) -> int:
        """Cache positions the sequence can come to need (the last column is never fed back)."""
        num_columns = len(self.prompt) + self.max_new_frames + NUM_CODEBOOKS - 1
        return self.prefix.shape[1] + num_columns


@dataclass(frozen=True)
class StepResult:
    """What a step did to one sequence: a frame, and whether it is the last.

    "not_finite": its logits were no numbers, as with weights that overflow; there is no frame.
    """

    slot: int
    token: Frame | None
    finish_reason: FinishReason | Literal["not_finite"] | None


@dataclass(frozen=True)
class _Running:
    request: ZonosRequest
    writer: ColumnWriter


class ZonosBatch:
    """The sequences that decode together, one per slot of the cache.

    It knows neither queues nor fairness: a scheduler decides who joins. Not thread-safe.

    Args:
        decoder: shared, read-only.
        num_slots: sequences at most.
        capacity: cache positions per sequence (see ``ZonosRequest.max_positions``).
    """

    def __init__(self, decoder: GuidedDecoder, num_slots: int, capacity: int) -> None:
        self.decoder = decoder
        self.cache: PairedKVCache = decoder.new_cache(num_slots, capacity)
        self._running: dict[int, _Running] = {}
        self._logits = torch.zeros(num_slots, NUM_CODEBOOKS, NUM_LOGITS, device=decoder.device)
        self._rows: _Rows | None = None  # of the active slots; None after a change

    @property
    def active_slots(self) -> list[int]:
        """Slots with a sequence, ascending."""
        return sorted(self._running)

    @property
    def num_free_slots(self) -> int:
        return self.cache.num_slots - len(self._running)

    def join(self, request: ZonosRequest) -> int:
        """Prefill the request and let it take part in the next step.

        Returns:
            Its slot. The lowest free one, so that active slots stay close together.

        Raises:
            ValueError: no slot is free, or the request does not fit or is malformed.
        """
        if self.num_free_slots == 0:
            raise ValueError(f"all {self.cache.num_slots} slots are taken")
        if request.max_positions > self.cache.capacity:
            raise ValueError(
                f"the request may need {request.max_positions} positions; "
                f"the cache has {self.cache.capacity} per sequence"
            )
        slot = next(s for s in range(self.cache.num_slots) if s not in self._running)
        writer = ColumnWriter(request.prompt, request.max_new_frames, request.has_upstream_writes)
        columns = torch.tensor(writer.columns)
        logits = self.decoder.prefill(request.prefix, columns, self.cache, slot)
        self._logits[slot] = guided(logits, request.guidance_scale)
        self._running[slot] = _Running(request, writer)
        self._rows = None
        if len(request.generated_prefix):
            try:
                self._go_on(slot)
            except Exception:
                self.leave(slot)
                raise
        return slot

    def resume(self, request: ZonosRequest, frames: Sequence[Frame]) -> int:
        """`join` behind all frames the request has by now, its ``generated_prefix`` included."""
        return self.join(replace(request, generated_prefix=tuple(frames)))

    def leave(self, slot: int) -> None:
        """Free both rows of a slot before its sequence has ended.

        Raises:
            ValueError: the slot holds no sequence.
        """
        if slot not in self._running:
            raise ValueError(f"slot {slot} holds no sequence")
        self._remove(slot, is_finite=bool(self._logits[slot].isfinite().all()))

    @torch.inference_mode()
    def step(self) -> list[StepResult]:
        """Draw one column for every active sequence; those that end free their slots.

        Returns:
            One result for each sequence of which a frame is complete now.
        """
        slots = self.active_slots
        if not slots:
            return []
        is_finite = self._logits[slots].isfinite().flatten(1).all(1).tolist()
        drawn = self._draw(slots)
        results = [self._result(*row) for row in zip(slots, is_finite, drawn, strict=True)]
        for result in results:
            if result.finish_reason is not None:
                self._remove(result.slot, result.finish_reason != "not_finite")
        self._decode([slot for slot in slots if slot in self._running])
        return [result for result in results if result.token or result.finish_reason]

    def _result(self, slot: int, is_finite: bool, drawn: list[int]) -> StepResult:
        if not is_finite:
            return StepResult(slot, None, "not_finite")
        written = self._running[slot].writer.write(drawn)
        return StepResult(slot, written.frame, written.finish_reason)

    def _draw(self, slots: list[int]) -> list[list[int]]:
        if self._rows is None or self._rows.slots != slots:
            self._rows = _Rows.of(slots, [self._running[s].request for s in slots], self.decoder)
        rows = self._rows
        writers = [self._running[slot].writer for slot in slots]
        history = [
            writer.history(
                rows.longest_window, self._running[slot].request.sampling.repetition_penalty_window
            )
            for slot, writer in zip(slots, writers, strict=True)
        ]
        device = self.decoder.device
        steps = torch.tensor([writer.num_drawn for writer in writers], device=device)
        drawn: list[list[int]] = sample(
            self._logits[rows.slot_idx],
            torch.tensor(history, device=device),
            rows.settings,
            rows.seeds,
            steps,
        ).tolist()
        return drawn

    def _decode(self, slots: list[int]) -> None:
        if not slots:
            return
        columns = torch.tensor([self._running[slot].writer.columns[-1] for slot in slots])
        logits = self.decoder.decode(columns, slots, self.cache)
        scales = [self._running[slot].request.guidance_scale for slot in slots]
        scale = torch.tensor(scales, device=logits.device)[:, None, None]
        self._logits[slots] = guided(logits, scale)

    def _go_on(self, slot: int) -> None:
        """Take a sequence that has just joined to where its generated prefix ends."""
        running = self._running[slot]
        num_prefilled = len(running.writer.columns)
        (first,) = self._draw([slot])
        running.writer.write(first)
        running.writer.go_on_behind(running.request.generated_prefix)
        columns = torch.tensor(running.writer.columns[num_prefilled:])
        logits = self.decoder.replay(columns, self.cache, slot)
        self._logits[slot] = guided(logits, running.request.guidance_scale)

    def _remove(self, slot: int, is_finite: bool) -> None:
        del self._running[slot]
        self._rows = None
        if not is_finite:  # the next sequence of this slot must not find that beside its own
            self.cache.clear(slot)


@dataclass(frozen=True)
class _Rows:
    """What of the active sequences does not change from step to step."""

    slots: list[int]
    slot_idx: Tensor
    seeds: Tensor
    settings: SamplingRows
    longest_window: int

    @classmethod
    def of(cls, slots: list[int], requests: list[ZonosRequest], decoder: GuidedDecoder) -> _Rows:
        sampling = [request.sampling for request in requests]
        return cls(
            slots,
            torch.tensor(slots, device=decoder.device),
            torch.tensor([request.seed for request in requests], device=decoder.device),
            SamplingRows.stack(sampling, decoder.device),
            max(settings.repetition_penalty_window for settings in sampling),
        )


@dataclass(frozen=True)
class Generation:
    """The frames of one sequence, a ``generated_prefix`` included; and why it ended."""

    frames: list[Frame]
    finish_reason: FinishReason


def generate(decoder: GuidedDecoder, request: ZonosRequest) -> Generation:
    """Generate one sequence by itself, from first frame to last.

    Raises:
        ValueError: the request is malformed, or the network overflows.
    """
    batch = ZonosBatch(decoder, num_slots=1, capacity=request.max_positions)
    batch.join(request)
    frames = list(request.generated_prefix)
    while True:
        for result in batch.step():
            if result.token is not None:
                frames.append(result.token)
            if result.finish_reason == "not_finite":
                raise ValueError(f"the logits after {len(frames)} frames are not finite")
            if result.finish_reason is not None:
                return Generation(frames, result.finish_reason)


def _check_frames(name: str, frames: Sequence[Frame]) -> None:
    if len(frames) > MAX_FRAMES:
        raise ValueError(f"{name} has {len(frames)} frames; at most {MAX_FRAMES}")
    for frame in frames:
        if len(frame) != NUM_CODEBOOKS or not 0 <= min(frame) <= max(frame) < CODEBOOK_SIZE:
            raise ValueError(
                f"{name} must have frames of {NUM_CODEBOOKS} codes in [0, {CODEBOOK_SIZE}), "
                f"not {frame}"
            )
