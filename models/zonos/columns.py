"""One sequence's columns as they are drawn: what is known, what is open, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.zonos.codes import CODEBOOK_SIZE, END_CODE, MASK_CODE, NUM_CODEBOOKS
from models.zonos.delay import DELAY_COLUMNS

FinishReason = Literal["end", "length"]
Frame = tuple[int, ...]
"""Nine codes, 0 to 1023, of 1/86 s."""

_NOTHING = [MASK_CODE] * NUM_CODEBOOKS


@dataclass(frozen=True)
class Written:
    """What a drawn column brought: a frame that is complete now, and the end if this is the last.

    The first eight columns behind a prompt complete nothing.
    """

    frame: Frame | None
    finish_reason: FinishReason | None


class ColumnWriter:
    """The delayed columns of one sequence, from the start column on.

    Once codebook 0 draws `END_CODE`, it walks down one codebook a column, and the sequence ends
    with the frame before it.

    Args:
        prompt: frames of audio to continue.
        max_new_frames: the sequence ends here at the latest.
        has_upstream_writes: fill the open places of a column with the first samples, as upstream
            does, instead of each with its own codebook's. That is wrong for the last eight frames
            before the length limit, and kept to compare with upstream alone.
    """

    def __init__(
        self, prompt: Sequence[Frame], max_new_frames: int, has_upstream_writes: bool = False
    ) -> None:
        self._frames = list(prompt)  # what is known; the prompt, and what was drawn elsewhere
        self._num_prompt_frames = len(prompt)
        self._num_frames = len(prompt) + max_new_frames
        self._end_column: int | None = None
        self._has_upstream_writes = has_upstream_writes
        # Column 0 has no frame behind it, so there is one more than the prompt has frames.
        self.columns = [self._placed(_NOTHING, idx) for idx in range(len(prompt) + 1)]

    @property
    def num_drawn(self) -> int:
        """How many columns were drawn."""
        return len(self.columns) - self._num_prompt_frames - 1

    def write(self, drawn: Sequence[int]) -> Written:
        """Add the next column.

        Args:
            drawn: a code of each codebook; those of codebooks that have no open place are ignored.
        """
        column_idx, codes = len(self.columns), list(drawn)
        # The first sample is never taken for the end, as upstream has it.
        if codes[0] == END_CODE and self._end_column is None and self.num_drawn > 0:
            self._end_column = column_idx
        if self._end_column is not None:
            codes = self._with_end(codes, column_idx, self._end_column)
        self.columns.append(self._placed(codes, column_idx))
        return self._written(column_idx)

    def go_on_behind(self, frames: Sequence[Frame]) -> None:
        """Take over frames that this sequence has drawn before, its first column excepted.

        That one was written again, because a frame does not tell an end code that was drawn there
        from code 0.
        """
        self._frames += frames
        while len(self.columns) <= len(self._frames):
            self.columns.append(self._placed(_NOTHING, len(self.columns)))

    def history(self, num_columns: int, window: int) -> list[list[int]]:
        """The last ``window`` columns, behind as much mask as makes ``num_columns``.

        The first sample has none: upstream penalises nothing there.
        """
        recent = self.columns[-window:] if self.num_drawn > 0 else []
        return [_NOTHING] * (num_columns - len(recent)) + recent

    def _with_end(self, codes: list[int], column_idx: int, end_column: int) -> list[int]:
        # Drawn beyond the length limit, it stands where it would have come by then.
        first_column = min(end_column, self._num_frames + 1)
        codebook_idx = min(column_idx - first_column, NUM_CODEBOOKS - 1)
        return [MASK_CODE] * codebook_idx + [END_CODE] + codes[codebook_idx + 1 :]

    def _placed(self, codes: Sequence[int], column_idx: int) -> list[int]:
        """The codes in the open places of a column, and in the others what is known."""
        column: list[int] = []
        num_open = 0
        for k in range(NUM_CODEBOOKS):
            frame_idx = column_idx - k - 1
            if not 0 <= frame_idx < self._num_frames:
                column.append(MASK_CODE)
            elif frame_idx < len(self._frames):
                column.append(self._frames[frame_idx][k])
            else:
                column.append(codes[num_open if self._has_upstream_writes else k])
                num_open += 1
        return column

    def _written(self, column_idx: int) -> Written:
        frame_idx = column_idx - DELAY_COLUMNS
        is_cut = self._end_column is None or self._end_column > self._num_frames + 1
        last_idx = self._num_frames - 1
        if self._end_column is not None:
            last_idx = min(last_idx, self._end_column - 2)
        reason: FinishReason = "length" if is_cut else "end"
        is_new = frame_idx >= len(self._frames)
        return Written(
            self._frame(frame_idx) if is_new else None,
            reason if frame_idx == last_idx else None,
        )

    def _frame(self, frame_idx: int) -> Frame:
        codes = [self.columns[frame_idx + k + 1][k] for k in range(NUM_CODEBOOKS)]
        return tuple(code if code < CODEBOOK_SIZE else 0 for code in codes)
