"""Semantic tokens by k-means: a codebook that is fitted once and stays frozen.

Two frames of 20 ms are averaged to one vector of 40 ms, every dimension is standardised, and the
nearest of `num_centres` centres is the token. Stored as S2 stores its quantiser (a projection of
kernel 2 and stride 2, then a codebook), this is an ordinary voice: average and standardisation are
a convolution whose taps are both ``diag(0.5 / sd)``, with the bias ``-mean / sd``.

A codebook learnt together with S2 (EMA, dead-code restarts) was compared on 30 minutes of speech:
of 680 used codes 185 were left after 150 updates, and reconstruction was no better.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK = 8_192  # vectors compared with all centres at a time: bounds memory
_MIN_SD = 1e-4  # a channel that never changes stays 0 instead of becoming infinite


@dataclass(frozen=True)
class KMeans:
    """Fitted centres. With M vectors in M_k clusters the counts say how often each was used."""

    mean: Tensor
    """(dim,) of the averaged frames"""
    sd: Tensor
    """(dim,), greater than 0"""
    centres: Tensor
    """(centre, dim), standardised"""
    counts: Tensor
    """(centre,) int64, fitted vectors nearest to each"""

    def quantizer_state(self) -> dict[str, Tensor]:
        """Weights, named as in `Synthesizer`, of a voice whose tokens are the nearest centres."""
        tap = torch.diag(0.5 / self.sd)
        counts = self.counts.float()
        return {
            "ssl_proj.weight": torch.stack([tap, tap], dim=2),
            "ssl_proj.bias": -self.mean / self.sd,
            "codebook.inited": torch.ones(1),
            "codebook.cluster_size": counts,
            "codebook.embed": self.centres.clone(),
            "codebook.embed_avg": self.centres * counts[:, None],
        }


def average_pairs(features: Tensor) -> Tensor:
    """(frame, dim) -> (frame // 2, dim), the mean of two neighbours; an odd last one is dropped."""
    num_pairs = len(features) // 2
    return features[: 2 * num_pairs].reshape(num_pairs, 2, -1).mean(dim=1)


def fit(vectors: Tensor, num_centres: int, seed: int, num_iterations: int = 20) -> KMeans:
    """Lloyd's algorithm from `num_centres` of the vectors, drawn with `seed`.

    The same vectors and seed give the same centres. A centre without vectors restarts at the
    vector that is farthest from its own centre.

    Args:
        vectors: (vector, dim) float32, averaged frames (`average_pairs`).
        num_centres: size of the codebook.
        seed: of the first centres.
        num_iterations: updates of the centres; fewer where nothing moves any more.

    Raises:
        ValueError: fewer vectors than centres, or values that are not finite.
    """
    if not 1 <= num_centres <= len(vectors):
        raise ValueError(f"{num_centres} centres asked of {len(vectors)} vectors")
    if not bool(vectors.isfinite().all()):
        raise ValueError("vectors hold values that are not finite")
    mean = vectors.mean(dim=0)
    sd = vectors.std(dim=0, correction=0).clamp_min(_MIN_SD)
    standardized = (vectors - mean) / sd
    generator = torch.Generator().manual_seed(seed)
    centres = standardized[torch.randperm(len(vectors), generator=generator)[:num_centres]]
    nearest, distances = _nearest(standardized, centres)
    for _ in range(num_iterations):
        centres = _means(standardized, nearest, distances, num_centres)
        previous, (nearest, distances) = nearest, _nearest(standardized, centres)
        if torch.equal(previous, nearest):
            break
    return KMeans(mean, sd, centres, torch.bincount(nearest, minlength=num_centres))


def _nearest(vectors: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the nearest centre, (vector,) int64, and the squared distance to it, (vector,)."""
    half_norms = centres.square().sum(dim=1) / 2
    indices, scores = [], []
    for block in vectors.split(_BLOCK):
        best = (block @ centres.t() - half_norms).max(dim=1)
        indices.append(best.indices)
        scores.append(block.square().sum(dim=1) - 2 * best.values)
    return torch.cat(indices), torch.cat(scores)


def _means(vectors: Tensor, nearest: Tensor, distances: Tensor, num_centres: int) -> Tensor:
    counts = torch.bincount(nearest, minlength=num_centres)
    sums = torch.zeros(num_centres, vectors.shape[1]).index_add_(0, nearest, vectors)
    centres = sums / counts.clamp_min(1)[:, None]
    empty = (counts == 0).nonzero().flatten()
    centres[empty] = vectors[distances.topk(len(empty)).indices]
    return centres
