"""Batches for S1: clips alone or in pairs, disturbed, padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.loss import S1Batch, collate, next_token_targets, spoil_at_random
from training.loops.clips import Clip
from training.loops.s1.args import TokenNoiseArgs
from training.loops.s1.timings import Timings, expected_phoneme
from training.loops.sampler import Draw, EpochSampler
from training.loops.seeds import item_generator
from training.loops.strict import ConfigError
from training.loops.world import World

# The reference's bounds on how fast a clip is spoken; beyond, text and audio hardly match.
MIN_PHONEMES_PER_S, MAX_PHONEMES_PER_S = 3.0, 25.0


@dataclass(frozen=True)
class Utterance:
    """What S1 sees of a clip, or of two in a row."""

    phoneme_ids: Tensor
    """(phoneme,) int64"""
    tokens: Tensor
    """(token,) int64"""
    expected_phoneme: Tensor
    """(token,) float32: index of the phoneme that is being spoken; NaN where nobody knows"""


@dataclass(frozen=True)
class S1TrainingBatch:
    """This worker's rows of a batch."""

    clean: S1Batch
    targets: Tensor
    """(row, token + 1) int64: what is to be said next."""
    inputs: Tensor
    """Same shape: the targets as the network sees them, disturbed."""
    expected_phoneme: Tensor
    """(row, token) float32"""
    rejected: S1Batch | None
    """The same texts with worse tokens, for the preference term."""
    num_rows: int
    """In the whole batch."""
    num_targets: int
    """Real ones (tokens, and an end each) in the whole batch."""


def utterance(clip: Clip, timings: Timings | None = None) -> Utterance:
    """A clip with the text where timings have it; without any, spread evenly over its time.

    Raises:
        ConfigError: the timings are of another text.
    """
    phoneme_ids, tokens = torch.tensor(clip.phoneme_ids), torch.tensor(clip.semantic_tokens)
    if timings is None:
        return Utterance(phoneme_ids, tokens, _spread_evenly(len(phoneme_ids), len(tokens)))
    ends_s = timings.get(clip.name)
    if ends_s is None:
        return Utterance(phoneme_ids, tokens, torch.full((len(tokens),), torch.nan))
    if len(ends_s) != len(phoneme_ids):
        raise ConfigError(
            f"clip {clip.name} has {len(phoneme_ids)} phonemes and timings of {len(ends_s)}"
        )
    return Utterance(phoneme_ids, tokens, expected_phoneme(ends_s, len(tokens)))


def _spread_evenly(num_phonemes: int, num_tokens: int) -> Tensor:
    # Position t predicts token t + 1, of which the middle is at (t + 1.5) / T.
    expected = (torch.arange(num_tokens) + 1.5) / num_tokens * num_phonemes - 0.5
    return expected.clamp(max=num_phonemes - 1)


def joined(parts: Sequence[Utterance]) -> Utterance:
    """Utterances said one after the other."""
    if len(parts) == 1:
        return parts[0]
    offsets = torch.tensor([0, *(len(part.phoneme_ids) for part in parts[:-1])]).cumsum(0).tolist()
    return Utterance(
        torch.cat([part.phoneme_ids for part in parts]),
        torch.cat([part.tokens for part in parts]),
        torch.cat([p.expected_phoneme + offset for p, offset in zip(parts, offsets, strict=True)]),
    )


def disturbed(
    tokens: Tensor, num_semantic_tokens: int, noise: TokenNoiseArgs, generator: torch.Generator
) -> Tensor:
    """Tokens of which some became others, drawn at random."""
    is_heavy, light_rate = torch.rand(2, generator=generator).tolist()
    rate = noise.heavy_rate if is_heavy < noise.heavy_share else light_rate * noise.max_rate
    is_replaced = torch.rand(len(tokens), generator=generator) < rate
    others = torch.randint(num_semantic_tokens, (len(tokens),), generator=generator)
    return torch.where(is_replaced, others, tokens)


def fits(clip: Clip, max_clip_s: float) -> bool:
    """Whether S1 can learn from a clip: not too long, and neither too fast nor too slow."""
    if not clip.semantic_tokens or not clip.phoneme_ids or clip.duration_s > max_clip_s:
        return False
    return MIN_PHONEMES_PER_S <= len(clip.phoneme_ids) / clip.duration_s <= MAX_PHONEMES_PER_S


class S1Data:
    """Training clips of S1.

    Args:
        clips: those that fit.
        config: of the network.
        sampler: order of ``clips``.
        noise: how inputs are disturbed.
        has_rejected: make worse tokens for the preference term.
        world: whose rows are made.
        timings: when phonemes are heard; None: the text is taken to be spread evenly.

    Raises:
        ConfigError: a clip has ids the network does not know, or the timings of another text.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        config: S1Config,
        sampler: EpochSampler,
        noise: TokenNoiseArgs,
        has_rejected: bool,
        world: World,
        timings: Timings | None = None,
    ) -> None:
        check_ids(clips, config)
        self.sampler = sampler
        self._utterances = [utterance(clip, timings) for clip in clips]
        self._config = config
        self._noise = noise
        self._has_rejected = has_rejected
        self._world = world

    def collate(self, draws: list[Draw]) -> S1TrainingBatch:
        """This worker's rows, padded as the whole batch is: the reference learns padding, too."""
        whole = [joined([self._utterances[clip] for clip in draw.clips]) for draw in draws]
        batch = collated(whole, self._config)
        generators = [item_generator(self.sampler.seed, d.epoch, d.position) for d in draws]
        rejected = None
        if self._has_rejected:
            worse = [
                replace(item, tokens=spoil_at_random(item.tokens, generator))
                for item, generator in zip(whole, generators, strict=True)
            ]
            rejected = self._my_rows(collated(worse, self._config))
        clean = self._my_rows(batch)
        targets = next_token_targets(clean.tokens, clean.token_lens, self._config.end_token)
        mine = self._world.rows(whole)
        inputs = targets.clone()
        for row, item, generator in zip(inputs, mine, self._world.rows(generators), strict=True):
            row[: len(item.tokens)] = disturbed(
                item.tokens, self._config.num_semantic_tokens, self._noise, generator
            )
        expected = pad_sequence([item.expected_phoneme for item in mine], batch_first=True)
        missing = clean.tokens.shape[1] - expected.shape[1]
        num_targets = int(batch.token_lens.sum()) + len(draws)
        return S1TrainingBatch(
            clean, targets, inputs, F.pad(expected, (0, missing)), rejected, len(draws), num_targets
        )

    def _my_rows(self, batch: S1Batch) -> S1Batch:
        rank, size = self._world.rank, self._world.size
        return S1Batch(
            batch.phoneme_ids[rank::size],
            batch.bert_features[rank::size],
            batch.phoneme_lens[rank::size],
            batch.tokens[rank::size],
            batch.token_lens[rank::size],
        )


def collated(items: Sequence[Utterance], config: S1Config) -> S1Batch:
    """Undisturbed, padded, with the features of a text that is not Chinese: zeros."""
    return collate(
        [item.phoneme_ids for item in items],
        [torch.zeros(len(item.phoneme_ids), config.bert_dim) for item in items],
        [item.tokens for item in items],
        config.end_token,
    )


def check_ids(clips: Sequence[Clip], config: S1Config) -> None:
    """Raises ConfigError when a clip's ids lie outside the network's tables."""
    for clip in clips:
        for what, ids, limit in (
            ("phoneme id", clip.phoneme_ids, config.num_phonemes),
            ("semantic token", clip.semantic_tokens, config.num_semantic_tokens),
        ):
            if not 0 <= min(ids) <= max(ids) < limit:
                raise ConfigError(
                    f"clip {clip.name} has {what} {max(ids)}; the network knows 0 to {limit - 1}"
                )
