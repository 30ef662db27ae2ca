"""Batches of clips of similar length, in an order that follows from seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from training.loops.seeds import epoch_generator

Item = TypeVar("Item")


@dataclass(frozen=True)
class Position:
    """The next batch of a run."""

    epoch: int = 0
    batch: int = 0
    """Within the epoch."""


def length_bucketed_batches(
    items: Sequence[Item],
    durations_s: Sequence[float],
    batch_size: int,
    bucket_s: float,
    generator: torch.Generator,
) -> list[list[Item]]:
    """Group items of about the same duration, so that little of a batch is padding.

    Items are sorted into buckets of ``bucket_s`` and shuffled within each; the buckets in a row are
    cut into batches, which are shuffled in turn. Every item comes once. The last batch is filled up
    from the first: all have ``batch_size`` items. (The reference does so for S1; for S2 it fills
    every bucket by repetition, which in a small set favours rare lengths.)

    Raises:
        ValueError: no items.
    """
    if not items:
        raise ValueError("there are no items to batch")
    noise = torch.rand(len(items), generator=generator).tolist()
    order = sorted(range(len(items)), key=lambda i: (int(durations_s[i] / bucket_s), noise[i]))
    missing = -len(order) % batch_size
    order += [order[i % len(items)] for i in range(missing)]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    shuffled = torch.randperm(len(batches), generator=generator).tolist()
    return [[items[i] for i in batches[number]] for number in shuffled]


def pair_up(
    speakers: Sequence[str],
    durations_s: Sequence[float],
    share: float,
    max_duration_s: float,
    generator: torch.Generator,
) -> list[tuple[int, ...]]:
    """Put some clips behind another of the same speaker, as a prompt stands before its sentence.

    Args:
        speakers, durations_s: one entry per clip.
        share: of all clips that end up in a pair, where partners are found.
        max_duration_s: of a pair.
        generator: decides who meets whom.

    Returns:
        Every clip's index once, alone or in a pair.
    """
    waiting: dict[str, int] = {}
    units: list[tuple[int, ...]] = []
    is_paired = (torch.rand(len(speakers), generator=generator) < share).tolist()
    for clip in torch.randperm(len(speakers), generator=generator).tolist():
        if not is_paired[clip]:
            units.append((clip,))
            continue
        partner = waiting.pop(speakers[clip], None)
        if partner is None:
            waiting[speakers[clip]] = clip
        elif durations_s[partner] + durations_s[clip] <= max_duration_s:
            units.append((partner, clip))
        else:
            units += [(partner,), (clip,)]
    return units + [(clip,) for clip in waiting.values()]


@dataclass(frozen=True)
class Draw:
    """One item of a batch: clips that are one utterance, and what names its randomness."""

    clips: tuple[int, ...]
    epoch: int
    position: int
    """Of the item within the epoch."""


@dataclass(frozen=True)
class EpochSampler:
    """The batches of every epoch of a run.

    Args:
        speakers, durations_s: of the training clips.
        batch_size: over all workers together.
        bucket_s: see ``length_bucketed_batches``.
        pair_share, max_pair_s: see ``pair_up``; pairs are made before lengths are compared.
        seed: of the run.
    """

    speakers: Sequence[str]
    durations_s: Sequence[float]
    batch_size: int
    seed: int
    bucket_s: float
    pair_share: float = 0.0
    max_pair_s: float = 0.0

    def epoch(self, epoch: int) -> list[list[Draw]]:
        """All batches of an epoch, in order."""
        generator = epoch_generator(self.seed, epoch)
        units = pair_up(
            self.speakers, self.durations_s, self.pair_share, self.max_pair_s, generator
        )
        lengths = [sum(self.durations_s[clip] for clip in unit) for unit in units]
        batches = length_bucketed_batches(units, lengths, self.batch_size, self.bucket_s, generator)
        return [
            [Draw(unit, epoch, number * self.batch_size + row) for row, unit in enumerate(batch)]
            for number, batch in enumerate(batches)
        ]

    def stream(self, start: Position) -> Iterator[tuple[list[Draw], Position]]:
        """Batches without end from ``start`` on, each with the position after it."""
        epoch, batch = start.epoch, start.batch
        while True:
            batches = self.epoch(epoch)
            for number in range(batch, len(batches)):
                is_last = number + 1 == len(batches)
                after = Position(epoch + 1) if is_last else Position(epoch, number + 1)
                yield batches[number], after
            epoch, batch = epoch + 1, 0
