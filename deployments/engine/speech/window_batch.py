"""The segments of one checkpoint that S2 has in work, decoded window by window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from deployments.engine.speech.protocol import Waveform
from models.gpt_sovits.pipeline import FIRST_CHUNK_FRAMES, NEXT_CHUNK_FRAMES
from models.gpt_sovits.s2.decoding import Window, decode_windows, encode_segments, exact_windows
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer


@dataclass(frozen=True)
class Decoded:
    """What a step did to one segment: its next chunk, its end, or both at once."""

    slot: int
    token: Waveform | None
    finish_reason: str | None


@dataclass(frozen=True)
class Job:
    """A segment, of which the first `skip_samples` samples were delivered before."""

    segment: Segment
    skip_samples: int


@dataclass(frozen=True)
class _Cut:
    """A window, less the samples at its start that were delivered before."""

    window: Window
    skip_samples: int


class WindowBatch:
    """The segments of one checkpoint that are in work: a `Runner` whose tokens are chunks of audio.

    A segment's encoder runs once, when it joins. A step decodes one window of up to `max_batch`
    segments: those without audio so far before the others, which take turns.

    Args:
        synthesizer: shared, read-only.
        num_slots: segments at most.
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
        self._turns: deque[int] = deque()

    def join(self, request: Job) -> int:
        """Encode a segment; `ValueError` if it does not fit the voice."""
        (encoded,) = encode_segments(self._synthesizer, [request.segment])
        hop = self._synthesizer.config.hop_length
        if request.skip_samples > encoded.num_frames * hop:
            raise ValueError(
                f"skip_samples is {request.skip_samples}; "
                f"the segment has {encoded.num_frames * hop} samples"
            )
        slot = self._free.pop()
        self._windows[slot] = deque(
            _Cut(window, max(0, request.skip_samples - window.start * hop))
            for window in exact_windows(encoded, FIRST_CHUNK_FRAMES, NEXT_CHUNK_FRAMES)
            if window.stop * hop > request.skip_samples
        )
        self._turns.appendleft(slot)
        return slot

    def leave(self, slot: int) -> None:
        """Drop what is left of a segment."""
        if slot not in self._windows:
            raise ValueError(f"slot {slot} holds no segment")
        del self._windows[slot]
        self._turns.remove(slot)
        self._free.append(slot)

    def step(self) -> list[Decoded]:
        """The next chunk of the segments whose turn it is."""
        if nothing_left := [slot for slot in self._turns if not self._windows[slot]]:
            for slot in nothing_left:
                self.leave(slot)
            return [Decoded(slot, None, "end") for slot in nothing_left]
        slots = [self._turns.popleft() for _ in range(min(self._max_batch, len(self._turns)))]
        self._turns.extend(slots)
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
