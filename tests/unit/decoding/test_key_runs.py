"""Rows of a step share one view of the cache as long as there is no gap between them."""

import pytest
import torch

from models.decoding.key_runs import KEY_BLOCK, consecutive_runs, whole_blocks


@pytest.mark.parametrize(
    ("cache_rows", "expected"),
    [
        ([4], [(slice(0, 1), slice(4, 5))]),
        ([0, 1, 2], [(slice(0, 3), slice(0, 3))]),
        ([0, 1, 4, 5], [(slice(0, 2), slice(0, 2)), (slice(2, 4), slice(4, 6))]),
        ([3, 3], [(slice(0, 1), slice(3, 4)), (slice(1, 2), slice(3, 4))]),
        ([2, 1], [(slice(0, 1), slice(2, 3)), (slice(1, 2), slice(1, 2))]),
    ],
)
def test_rows_are_split_where_cache_rows_do_not_follow(
    cache_rows: list[int], expected: list[tuple[slice, slice]]
) -> None:
    positions = [7] * len(cache_rows)
    runs = consecutive_runs(cache_rows, positions, torch.tensor(positions), torch.float32)
    assert [(run.rows, run.cache_rows) for run in runs] == expected


def test_a_row_sees_itself_and_what_came_before_it_in_whole_blocks() -> None:
    positions = [0, KEY_BLOCK - 1, KEY_BLOCK]
    (run,) = consecutive_runs([0, 1, 2], positions, torch.tensor(positions), torch.float32)
    assert run.num_keys == 2 * KEY_BLOCK
    is_seen = run.mask[:, 0, 0] == 0.0
    assert is_seen.sum(1).tolist() == [position + 1 for position in positions]
    assert torch.isneginf(run.mask[:, 0, 0][~is_seen]).all()


def test_lengths_are_rounded_up_to_whole_blocks() -> None:
    assert [whole_blocks(n) for n in (1, KEY_BLOCK, KEY_BLOCK + 1)] == [16, 16, 32]
