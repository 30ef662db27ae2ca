"""How far an array is from the reference's."""

import numpy as np
from torch import Tensor


def relative_error(actual: Tensor, expected: np.ndarray) -> float:
    """Largest deviation over the largest magnitude; the shapes must be equal."""
    array = actual.detach().float().numpy()
    assert array.shape == expected.shape, (array.shape, expected.shape)
    return float(np.abs(array - expected).max() / np.abs(expected).max())
