"""The delay pattern: codebook k lags by k + 1 columns.

    delayed[j, k] = codes[j - k - 1, k]    where that frame exists, else MASK_CODE

So the first column is all mask, and a frame is complete nine columns after it began.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.zonos.codes import MASK_CODE, NUM_CODEBOOKS

DELAY_COLUMNS = NUM_CODEBOOKS
"""A frame is complete this many columns behind the one of its own index."""


def delay(codes: Tensor) -> Tensor:
    """(frame, codebook) int64 -> (frame + 9, codebook)."""
    num_frames = len(codes)
    delayed = codes.new_full((num_frames + DELAY_COLUMNS, NUM_CODEBOOKS), MASK_CODE)
    for codebook_idx in range(NUM_CODEBOOKS):
        first = codebook_idx + 1
        delayed[first : first + num_frames, codebook_idx] = codes[:, codebook_idx]
    return delayed


def revert(delayed: Tensor) -> Tensor:
    """(column, codebook) -> (column - 9, codebook): undo `delay`."""
    num_frames = len(delayed) - DELAY_COLUMNS
    columns = [delayed[k + 1 : k + 1 + num_frames, k] for k in range(NUM_CODEBOOKS)]
    return torch.stack(columns, dim=1)
