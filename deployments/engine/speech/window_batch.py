"""What S2 has in work of one checkpoint: segments, window by window, and early chunks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deployments.engine.batching.priority import Priority
from deployments.engine.speech.protocol import EarlyAudio, Waveform
from deployments.engine.speech.turns import Turns
from models.gpt_sovits.pipeline import FIRST_CHUNK_FRAMES, NEXT_CHUNK_FRAMES
from models.gpt_sovits.s2.decoding import Window, decode_windows, encode_segments, exact_windows
from models.gpt_sovits.s2.early_streaming import EarlyChunk, next_early_waveform
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer


@dataclass(frozen=True)
class Decoded:
    """What a step did to one job: its next audio, its end, or both at once."""

    slot: int
    token: Waveform | EarlyAudio | None
    finish_reason: str | None


@dataclass(frozen=True)
class EarlyPart:
    """Which tokens of a growing segment are new, and what the ones before left."""

    num_new_tokens: int
    previous: EarlyChunk | None


@dataclass(frozen=True)
class Job:
    """A segment, less the `skip_samples` samples that were delivered before; or its early part.

    Args:
        priority: whether somebody listens.
    """

    segment: Segment
    skip_samples: int = 0
    early: EarlyPart | None = None
    priority: Priority = "interactive"


@dataclass(frozen=True)
class _Cut:
    """A window, less the samples at its start that were delivered before."""

    window: Window
    skip_samples: int


class WindowBatch:
    """The jobs of one checkpoint that are in work: a `Runner` whose tokens are pieces of audio.

    A segment's encoder runs once, when it joins. A step decodes one window of up to `max_batch`
    jobs, whose turn it is (`Turns`). An early part is decoded when it joins, by itself, as its
    encoder sees another stretch of the segment each time.

    Args:
        synthesizer: shared, read-only.
        num_slots: jobs at most.
        max_batch: windows of one call.
        on_batch: told how many windows each call decodes.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        num_slots: int,
        max_batch: int,
        on_batch: Callable[[int], None] = lambda num_windows: None,
    ) -> None:
        self._synthesizer = synthesizer
        self._free = list(range(num_slots))
        self._max_batch = max_batch
        self._on_batch = on_batch
        self._windows: dict[int, deque[_Cut]] = {}
        self._early: dict[int, EarlyAudio | None] = {}
        self._turns = Turns(num_slots)

    def join(self, request: Job) -> int:
        """Encode a segment, or decode an early part; `ValueError` if it does not fit the voice."""
        early = self._decode_early(request.segment, request.early) if request.early else None
        windows = deque[_Cut]() if early else self._encode(request)
        slot = self._free.pop()
        self._early[slot] = early
        self._windows[slot] = windows
        self._turns.join(slot, request.priority)
        return slot

    def resume(self, request: Job, tokens: Sequence[Waveform | EarlyAudio]) -> int:
        """`join` behind the samples that the job has brought; an early part brings none before."""
        num_samples = sum(len(waveform) for waveform in tokens if isinstance(waveform, np.ndarray))
        return self.join(replace(request, skip_samples=request.skip_samples + num_samples))

    def _decode_early(self, segment: Segment, part: EarlyPart) -> EarlyAudio:
        waveform, held_back = next_early_waveform(
            self._synthesizer, segment, part.num_new_tokens, previous=part.previous
        )
        held_back = EarlyChunk(held_back.latent.cpu().clone(), held_back.waveform.cpu().clone())
        return EarlyAudio(waveform.cpu().numpy(), held_back)

    def _encode(self, request: Job) -> deque[_Cut]:
        (encoded,) = encode_segments(self._synthesizer, [request.segment])
        hop = self._synthesizer.config.hop_length
        if request.skip_samples > encoded.num_frames * hop:
            raise ValueError(
                f"skip_samples is {request.skip_samples}; "
                f"the segment has {encoded.num_frames * hop} samples"
            )
        return deque(
            _Cut(window, max(0, request.skip_samples - window.start * hop))
            for window in exact_windows(encoded, FIRST_CHUNK_FRAMES, NEXT_CHUNK_FRAMES)
            if window.stop * hop > request.skip_samples
        )

    def leave(self, slot: int) -> None:
        """Drop what is left of a segment."""
        if slot not in self._windows:
            raise ValueError(f"slot {slot} holds no segment")
        del self._windows[slot]
        del self._early[slot]
        self._turns.leave(slot)
        self._free.append(slot)

    def step(self) -> list[Decoded]:
        """The next audio of the jobs whose turn it is, and the end of those that have it all."""
        results = [
            Decoded(slot, self._early[slot], "end")
            for slot in self._turns
            if not self._windows[slot]
        ]
        for result in results:
            self.leave(result.slot)
        return results + self._decode_windows()

    def _decode_windows(self) -> list[Decoded]:
        slots = self._turns.take(self._max_batch)
        if not slots:
            return []
        cuts = [self._windows[slot].popleft() for slot in slots]
        self._on_batch(len(cuts))
        waveforms = decode_windows(self._synthesizer, [cut.window for cut in cuts])
        results = []
        for slot, cut, waveform in zip(slots, cuts, waveforms, strict=True):
            is_last = not self._windows[slot]
            if is_last:
                self.leave(slot)
            chunk = waveform[cut.skip_samples :].cpu().numpy()
            results.append(Decoded(slot, chunk, "end" if is_last else None))
        return results
