"""What the two stages are asked and what they answer. These cross process boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deployments.engine.batching.priority import Priority
from models.gpt_sovits.pipeline import ReferenceFeatures
from models.gpt_sovits.s1.sampling import SamplingSettings
from models.gpt_sovits.s2.early_streaming import EarlyChunk

SAMPLE_RATE = 32_000
"""Hz, of every GPT-SoVITS v2 voice."""

Waveform = NDArray[np.float32]


@dataclass(frozen=True)
class SemanticRequest:
    """One segment for S1.

    Args:
        checkpoint: `id@version` of the weights.
        phoneme_ids: of the target text.
        reference: whose voice; its prompt comes before the target.
        seed: any int64; the same request with the same seed gives the same tokens.
        sampling: how tokens are drawn; None for what the checkpoint says of itself.
        generated_prefix: tokens that this request has generated already; generation goes on behind
            them as if it had not been interrupted.
        priority: whether somebody listens.
    """

    checkpoint: str
    phoneme_ids: tuple[int, ...]
    reference: ReferenceFeatures
    seed: int
    sampling: SamplingSettings | None = None
    generated_prefix: tuple[int, ...] = ()
    priority: Priority = "interactive"


@dataclass(frozen=True)
class TokenChunk:
    """Consecutive semantic tokens, at 25 Hz; the last chunk of a stream says how it ended.

    `stop`: S1 drew its end token. `length`: it went on for far longer than the text can take.
    `loop`: it repeated itself.
    """

    tokens: tuple[int, ...]
    finish_reason: Literal["stop", "length", "loop"] | None


@dataclass(frozen=True)
class WaveformRequest:
    """One segment for S2.

    Args:
        checkpoint: `id@version` of the weights.
        semantic_tokens: all of the segment's, without the prompt's.
        phoneme_ids: of the target text.
        reference: whose voice.
        seed: names the noise.
        speed: 1 is the voice's own pace.
        skip_samples: samples that were delivered already; the stream begins behind them.
        priority: whether somebody listens.
    """

    checkpoint: str
    semantic_tokens: tuple[int, ...]
    phoneme_ids: tuple[int, ...]
    reference: ReferenceFeatures
    seed: int
    speed: float = 1.0
    skip_samples: int = 0
    priority: Priority = "interactive"


@dataclass(frozen=True)
class EarlyRequest:
    """The newest tokens of a segment that S1 is still generating, for S2's early mode.

    Nothing is remembered between two requests, so any replica can answer the next one.

    Args:
        semantic_tokens: all of the segment so far, without the prompt's.
        num_new_tokens: how many of them no request before has brought.
        previous: what the request before left; None for the first.
        others: see `WaveformRequest`.
    """

    checkpoint: str
    semantic_tokens: tuple[int, ...]
    num_new_tokens: int
    phoneme_ids: tuple[int, ...]
    reference: ReferenceFeatures
    seed: int
    speed: float = 1.0
    previous: EarlyChunk | None = None
    priority: Priority = "interactive"


@dataclass(frozen=True)
class EarlyAudio:
    """What early mode makes of new tokens.

    Args:
        waveform: to be played now.
        held_back: for the next request; its waveform ends the speech if there is none.
    """

    waveform: Waveform
    held_back: EarlyChunk
