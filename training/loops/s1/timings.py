"""When phonemes are heard, where a corpus can tell: what attention is guided by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.loops.strict import ConfigError

TIMINGS = "alignment.jsonl"
"""In a prepared folder; `training.corpus.alignment` writes it for a synthesised corpus."""

_TOKENS_PER_S = 25

Timings = Mapping[str, Sequence[float]]
"""Name of a clip -> when each of its phonemes ends, in seconds."""


def read_timings(path: Path) -> Timings:
    """The timings of clips, by the names that preparing gives them.

    Raises:
        ConfigError: the file is missing or malformed.
    """
    try:
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {Path(entry["path"]).name: entry["phoneme_ends_s"] for entry in entries}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} holds no timings: {error!r}") from error


def expected_phoneme(ends_s: Sequence[float], num_tokens: int) -> Tensor:
    """Index of the phoneme that is heard at the token which each position is to predict.

    Args:
        ends_s: when each phoneme ends; what comes later belongs to the last one.
        num_tokens: of the clip, 25 a second.

    Returns:
        (token,) float32; halves count from the middle of a phoneme, as indices do.
    """
    ends = torch.tensor(ends_s, dtype=torch.float64)
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    # Position t predicts token t + 1, of which the middle is at (t + 1.5) tokens.
    at_s = (torch.arange(num_tokens, dtype=torch.float64) + 1.5) / _TOKENS_PER_S
    index = torch.searchsorted(ends, at_s, right=True).clamp(max=len(ends) - 1)
    lasts = (ends - starts)[index].clamp(min=1e-3)
    within = ((at_s - starts[index]) / lasts).clamp(0, 1)
    return (index + within - 0.5).clamp(0, len(ends) - 1).float()
