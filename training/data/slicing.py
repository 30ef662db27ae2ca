"""Long recordings: cut at silence, and each piece gets its part of the transcript."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

from rapidfuzz.distance import Levenshtein

from models.recognition import letters_only
from training.data.checks import VAD_RATE_HZ, Samples, speech_spans


def cut_at_silence(samples_16k: Samples, max_s: float) -> list[tuple[int, int]]:
    """Spans of at most `max_s`, each from silence to silence; what lies between is dropped.

    Neighbouring stretches of speech stay together while they fit.

    Returns:
        (first sample, end) at 16 kHz, in order.
    """
    max_samples = int(max_s * VAD_RATE_HZ)
    pieces: list[tuple[int, int]] = []
    for start, stop in speech_spans(samples_16k, max_speech_s=max_s):
        if pieces and stop - pieces[-1][0] <= max_samples:
            pieces[-1] = (pieces[-1][0], stop)
        else:
            pieces.append((start, stop))
    return pieces


def deal_out(transcript: str, heard: list[str]) -> list[str]:
    """Cut a transcript into the parts that were heard one after another.

    The recognised letters of all pieces are aligned with those of the transcript by edit distance;
    a border between pieces becomes the nearest border between words.

    Args:
        transcript: of the whole recording.
        heard: what was recognised in each piece.

    Returns:
        As many texts as pieces; joined by spaces they are the transcript's words. A piece in which
        nothing was recognised may get an empty one.
    """
    words = transcript.split()
    word_ends = list(accumulate(len(letters_only(word)) for word in words))
    expected = letters_only(transcript)
    recognised = [letters_only(text) for text in heard]
    borders = _aligned("".join(recognised), expected, accumulate(map(len, recognised[:-1])))
    cuts = [0, *(_nearest_word(border, word_ends) for border in borders), len(words)]
    return [" ".join(words[start:stop]) for start, stop in zip(cuts, cuts[1:], strict=False)]


def _aligned(source: str, target: str, positions: accumulate[int]) -> list[int]:
    """Positions in `source`, carried over to `target` along the cheapest edits."""
    blocks = Levenshtein.opcodes(source, target)
    carried = []
    for position in positions:
        at = len(target)
        for block in blocks:
            if position <= block.src_end and block.src_end > block.src_start:
                done = (position - block.src_start) / (block.src_end - block.src_start)
                at = block.dest_start + round(done * (block.dest_end - block.dest_start))
                break
        carried.append(at)
    return carried


def _nearest_word(position: int, word_ends: list[int]) -> int:
    """How many words end at or before the border between words that is nearest to `position`."""
    after = bisect_left(word_ends, position)
    if after == len(word_ends):
        return after
    before = word_ends[after - 1] if after else 0
    return after if position - before < word_ends[after] - position else after + 1
