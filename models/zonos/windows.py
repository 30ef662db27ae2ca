"""Which stretch of codes is decoded next, so that joined chunks are the whole.

A stretch is decoded together with ten frames on either side, which is as far as the decoder sees,
and the sound of those frames is dropped. So a chunk can be decoded once the ten frames behind it
are there, or the end is.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTEXT_FRAMES = 10
"""The decoder sees 9.29 frames to either side of a sample."""

FIRST_CHUNK_FRAMES = 34  # 0.4 s, heard early
NEXT_CHUNK_FRAMES = 172  # 2 s, which waste less on context
MAX_WINDOW_FRAMES = NEXT_CHUNK_FRAMES + 2 * CONTEXT_FRAMES


@dataclass(frozen=True)
class FrameWindow:
    """Frames `start` to `stop` are to be heard; those from `first` to `last` are decoded."""

    first: int
    start: int
    stop: int
    last: int


def next_window(
    num_decoded: int, num_frames: int, is_complete: bool, is_first: bool
) -> FrameWindow | None:
    """What can be decoded now.

    Args:
        num_decoded: frames that were heard already.
        num_frames: frames there are.
        is_complete: no more will come.
        is_first: nothing was heard yet, so a short chunk is worth more than a long one.

    Returns:
        The next window, or None while too few frames are there, or no more.
    """
    stop = num_decoded + (FIRST_CHUNK_FRAMES if is_first else NEXT_CHUNK_FRAMES)
    if num_frames < stop + CONTEXT_FRAMES:
        if not is_complete or num_frames == num_decoded:
            return None
        stop = min(stop, num_frames)
    return FrameWindow(
        first=max(0, num_decoded - CONTEXT_FRAMES),
        start=num_decoded,
        stop=stop,
        last=min(num_frames, stop + CONTEXT_FRAMES),
    )
