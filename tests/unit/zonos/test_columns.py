"""How a sequence's columns are filled, when its frames are complete, and where it ends."""

import pytest
import torch

from models.zonos.codes import END_CODE, MASK_CODE
from models.zonos.columns import ColumnWriter, Written
from models.zonos.delay import delay, revert
from tests.zonos_network import random_frames


def drawn(step: int) -> list[int]:
    """Codes that tell the step and the codebook."""
    return [100 + 10 * step + codebook_idx for codebook_idx in range(9)]


def write_until_the_end(writer: ColumnWriter, end_at_step: int | None = None) -> list[Written]:
    written: list[Written] = []
    while not written or written[-1].finish_reason is None:
        codes = drawn(len(written))
        if len(written) == end_at_step:
            codes[0] = END_CODE
        written.append(writer.write(codes))
    return written


def test_delaying_and_reverting_gives_the_codes_back() -> None:
    codes = torch.tensor(random_frames(20, seed=0))
    assert delay(codes)[0].tolist() == [MASK_CODE] * 9
    assert torch.equal(revert(delay(codes)), codes)


@pytest.mark.parametrize("num_prompt_frames", [0, 1, 5, 20])
def test_known_columns_are_the_delayed_prompt(num_prompt_frames: int) -> None:
    prompt = random_frames(num_prompt_frames, seed=1)
    codes = torch.tensor(prompt, dtype=torch.int64).reshape(-1, 9)
    writer = ColumnWriter(prompt, max_new_frames=3)
    assert writer.columns == delay(codes)[: num_prompt_frames + 1].tolist()


@pytest.mark.parametrize("num_prompt_frames", [0, 4, 12])
def test_frames_are_the_reverted_columns_and_come_nine_steps_after_they_began(
    num_prompt_frames: int,
) -> None:
    prompt = random_frames(num_prompt_frames, seed=2)
    writer = ColumnWriter(prompt, max_new_frames=6)
    written = write_until_the_end(writer)
    assert [column.frame for column in written[:8]] == [None] * 8
    frames = [column.frame for column in written[8:]]
    assert len(frames) == 6
    assert [*prompt, *frames] == [tuple(f) for f in revert(torch.tensor(writer.columns)).tolist()]
    assert written[-1].finish_reason == "length"


def test_every_code_is_drawn_by_its_own_codebook_up_to_the_length_limit() -> None:
    written = write_until_the_end(ColumnWriter([], max_new_frames=4))
    frames = [column.frame for column in written if column.frame is not None]
    # Codebook k of frame t is drawn k steps after codebook 0's.
    assert frames == [tuple(drawn(t + k)[k] for k in range(9)) for t in range(4)]


def test_upstreams_writes_differ_beyond_the_length_limit_only() -> None:
    writer = ColumnWriter([], max_new_frames=4, has_upstream_writes=True)
    written = write_until_the_end(writer)
    frames = [column.frame for column in written if column.frame is not None]
    for t, frame in enumerate(frames):
        # Column t + k + 1 has its first open place at codebook t + k + 1 - 4, once that is one.
        sources = [k - max(0, t + k + 1 - 4) for k in range(9)]
        assert frame == tuple(drawn(t + k)[source] for k, source in enumerate(sources))


def test_the_sequence_ends_with_the_frame_before_the_end_code() -> None:
    written = write_until_the_end(ColumnWriter([], max_new_frames=50), end_at_step=3)
    frames = [column.frame for column in written if column.frame is not None]
    assert len(frames) == 3
    assert frames == [tuple(drawn(t + k)[k] for k in range(9)) for t in range(3)]
    assert written[-1].finish_reason == "end"


def test_the_end_code_walks_down_one_codebook_a_column() -> None:
    writer = ColumnWriter([], max_new_frames=50)
    write_until_the_end(writer, end_at_step=3)
    end_column = 4
    walk = writer.columns[end_column:]
    assert [column.index(END_CODE) for column in walk] == list(range(len(walk)))
    assert all(column[:place] == [MASK_CODE] * place for place, column in enumerate(walk))


@pytest.mark.parametrize(("end_at_step", "num_frames", "reason"), [
    (5, 5, "end"), (6, 6, "end"), (7, 6, "length"), (12, 6, "length"),
])  # fmt: skip
def test_an_end_code_at_the_length_limit_takes_no_frame_away(
    end_at_step: int, num_frames: int, reason: str
) -> None:
    written = write_until_the_end(ColumnWriter([], max_new_frames=6), end_at_step)
    frames = [column.frame for column in written if column.frame is not None]
    assert frames == [tuple(drawn(t + k)[k] for k in range(9)) for t in range(num_frames)]
    assert written[-1].finish_reason == reason


def test_the_first_sample_is_not_taken_for_the_end_and_becomes_code_0() -> None:
    writer = ColumnWriter([], max_new_frames=5)
    written = write_until_the_end(writer, end_at_step=0)
    frames = [column.frame for column in written if column.frame is not None]
    assert len(frames) == 5
    assert frames[0] is not None and frames[0][0] == 0
    assert writer.columns[1][0] == END_CODE


def test_the_penalty_looks_at_nothing_before_the_first_sample_and_then_at_the_window() -> None:
    prompt = random_frames(3, seed=3)
    writer = ColumnWriter(prompt, max_new_frames=5)
    nothing = [MASK_CODE] * 9
    assert writer.history(num_columns=4, window=2) == [nothing] * 4
    writer.write(drawn(0))
    assert writer.history(num_columns=4, window=2) == [nothing] * 2 + writer.columns[-2:]
