"""The order of a run follows from its seed, and nothing is lost or said twice."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
import torch

from tests.training.train_clips import made_up_clips
from training.loops.clips import of_speakers, split
from training.loops.sampler import EpochSampler, Position, length_bucketed_batches, pair_up
from training.loops.strict import ConfigError


def sampler(seed: int = 1, pair_share: float = 0.5) -> EpochSampler:
    clips = made_up_clips(23)
    return EpochSampler(
        [clip.speaker for clip in clips],
        [clip.duration_s for clip in clips],
        batch_size=4,
        seed=seed,
        bucket_s=0.5,
        pair_share=pair_share,
        max_pair_s=2.5,
    )


def test_the_same_seed_and_epoch_give_the_same_batches() -> None:
    assert sampler().epoch(3) == sampler().epoch(3)


def test_another_epoch_or_seed_gives_another_order() -> None:
    orders = [sampler().epoch(0), sampler().epoch(1), sampler(seed=2).epoch(0)]
    clips = [[draw.clips for batch in order for draw in batch] for order in orders]
    assert clips[0] != clips[1] and clips[0] != clips[2]


def test_every_clip_comes_once_an_epoch_but_for_those_that_fill_the_last_batch() -> None:
    batches = sampler(pair_share=0.0).epoch(0)
    counts = Counter(clip for batch in batches for draw in batch for clip in draw.clips)
    assert set(counts) == set(range(23))
    assert sum(counts.values()) == 24 == 4 * len(batches)


def test_a_stream_started_in_the_middle_is_the_rest_of_the_stream() -> None:
    whole = list(islice(sampler().stream(Position()), 15))
    position = whole[6][1]
    assert list(islice(sampler().stream(position), 8)) == whole[7:]


def test_batches_hold_clips_of_one_bucket_or_of_neighbours() -> None:
    durations = [float(second) + 0.5 for second in range(8) for _ in range(4)]
    batches = length_bucketed_batches(
        range(32), durations, 4, bucket_s=1.0, generator=torch.Generator().manual_seed(0)
    )
    assert all(len({durations[item] for item in batch}) == 1 for batch in batches)


def test_pairs_have_one_speaker_and_stay_within_the_limit() -> None:
    speakers = ["a", "b"] * 20
    durations = [1.0 + 0.1 * number for number in range(40)]
    units = pair_up(speakers, durations, 1.0, 5.0, torch.Generator().manual_seed(0))
    pairs = [unit for unit in units if len(unit) == 2]
    assert sorted(clip for unit in units for clip in unit) == list(range(40))
    assert pairs
    assert all(speakers[first] == speakers[second] for first, second in pairs)
    assert all(durations[first] + durations[second] <= 5.0 for first, second in pairs)


def test_pairs_are_made_before_lengths_are_compared() -> None:
    clips = made_up_clips(40)
    durations = [clip.duration_s for clip in clips]
    epoch = EpochSampler(
        [clip.speaker for clip in clips], durations, 4, 1, 0.5, pair_share=1.0, max_pair_s=9.0
    ).epoch(0)
    spreads = []
    for batch in epoch:
        lengths = [sum(durations[clip] for clip in draw.clips) for draw in batch]
        spreads.append(max(lengths) - min(lengths))
    # Buckets of 0.5 s, and a batch may span two. Pairs of clips bucketed alone differ by 1.6 s.
    assert sorted(spreads)[len(spreads) // 2] < 0.5


def test_a_sentence_is_held_out_with_all_its_speakers_and_stays_so() -> None:
    clips = made_up_clips(50, speakers=1) + made_up_clips(50, speakers=2)
    training, held_out = split(clips, 0.2)
    assert {clip.text for clip in training}.isdisjoint(clip.text for clip in held_out)
    fewer = split(clips[:30], 0.2)[1]
    assert {clip.text for clip in fewer} <= {clip.text for clip in held_out}


def test_a_small_set_still_has_something_held_out() -> None:
    training, held_out = split(made_up_clips(2), 0.001)
    assert (len(training), len(held_out)) == (1, 1)


def test_one_sentence_cannot_be_split() -> None:
    with pytest.raises(ConfigError, match="1 different sentences"):
        split(made_up_clips(1), 0.1)


def test_a_speaker_without_clips_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no clip of \['nobody'\]; .*speaker-0"):
        of_speakers(made_up_clips(4), ["nobody", "speaker-1"])
