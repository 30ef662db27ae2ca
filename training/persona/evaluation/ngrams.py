"""Texts as bags of character n-grams, and a logistic regression over them, in numpy alone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.persona.selection import normalized

Matrix = NDArray[np.float64]

_NUM_BUCKETS = 1 << 12
_LENGTHS = (1, 2, 3)


def features(texts: Sequence[str]) -> Matrix:
    """`(text, bucket)`: counts of n-grams of one to three letters, hashed, rows of length 1."""
    matrix = np.zeros((len(texts), _NUM_BUCKETS))
    for row, text in enumerate(texts):
        letters = normalized(text)
        for length in _LENGTHS:
            for start in range(len(letters) - length + 1):
                gram = letters[start : start + length]
                matrix[row, zlib.crc32(gram.encode()) % _NUM_BUCKETS] += 1.0
    lengths = np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    normed: Matrix = matrix / lengths
    return normed


@dataclass(frozen=True)
class LogisticRegression:
    """Probability of the second class: `sigmoid(x · weights + bias)`."""

    weights: Matrix
    bias: float

    @classmethod
    def fit(
        cls,
        inputs: Matrix,
        is_second: NDArray[np.bool_],
        *,
        l2: float = 1e-3,
        lr: float = 10.0,
        num_steps: int = 150,
    ) -> LogisticRegression:
        """Gradient descent on the mean log loss with `l2 / 2 · |weights|²`; always the same."""
        weights, bias = np.zeros(inputs.shape[1]), 0.0
        targets = is_second.astype(np.float64)
        for _ in range(num_steps):
            residual = _sigmoid(inputs @ weights + bias) - targets
            weights = weights - lr * (inputs.T @ residual / len(targets) + l2 * weights)
            bias -= lr * float(residual.mean())
        return cls(weights, bias)

    def probability(self, inputs: Matrix) -> Matrix:
        """`(row,)` in 0 to 1."""
        return _sigmoid(inputs @ self.weights + self.bias)


def _sigmoid(values: Matrix) -> Matrix:
    result: Matrix = 1.0 / (1.0 + np.exp(-np.clip(values, -50.0, 50.0)))
    return result
