"""Whether two people speak in a clip.

Each stretch of the clip is compared with the rest of it. Thresholds are far below what one speaker
reaches: refusing a good clip annoys, while a second voice of similar timbre does little harm.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.speaker.encoder import WINDOW_FRAMES

STEP_FRAMES = 40
"""0.4 s between the windows that are compared."""

MIN_SIMILARITY = 0.65
"""Of two parts with 2 s of speech each or more. In 160 clips of one synthetic speaker the least
similar parts had 0.68. Of 90 clips that join 3 s each of two of ten such speakers, 55 had less than
0.65; most others join mixtures of each other, or voices that are much alike."""

_PART_WINDOWS = 2


def least_similarity(windows: Tensor) -> float:
    """Cosine of the two least similar parts of a clip; 1 for a clip too short to have two.

    Args:
        windows: (window, dim) unit vectors of 1.6 s each, `STEP_FRAMES` apart.
    """
    overlap = WINDOW_FRAMES // STEP_FRAMES  # windows that share samples with a given one
    num_windows = len(windows)
    sums = F.pad(windows.cumsum(dim=0), (0, 0, 1, 0))
    least = 1.0
    for start in range(num_windows):
        for stop in range(start + _PART_WINDOWS, num_windows + 1):
            before, after = max(0, start - overlap + 1), min(num_windows, stop + overlap - 1)
            if before + num_windows - after < _PART_WINDOWS:
                continue
            inside = sums[stop] - sums[start]
            outside = sums[before] + sums[num_windows] - sums[after]
            least = min(least, float(torch.cosine_similarity(inside, outside, dim=0)))
    return least
