"""A push for S1 to look where it reads: attention of some heads near the phoneme being spoken.

A small network on little data learns to continue speech long before it learns to read. Some heads
are therefore asked to keep their attention near where the text should be by then (Tachibana et al.,
2018, "Efficiently trainable text-to-speech system based on deep convolutional networks with guided
attention"); here as the negative logarithm of the attention that falls there. The weights' format
does not change, and once heads look at the text the term is taken away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models.gpt_sovits.s1.network import Text2Semantic, visible_keys


@contextmanager
def recorded_projections(network: Text2Semantic, layers: Sequence[int]) -> Iterator[list[Tensor]]:
    """Queries, keys and values of some layers, one (batch, time, 3 * dim) each, as they are made.

    Yields:
        A list that a forward pass fills in the order of the layers.
    """
    projections: list[Tensor] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        projections.append(output)

    chosen = [
        layer.get_submodule("query_key_value")
        for idx, layer in enumerate(network.layers)
        if idx in layers
    ]
    hooks = [projection.register_forward_hook(record) for projection in chosen]
    try:
        yield projections
    finally:
        for hook in hooks:
            hook.remove()


def text_scores(
    projection: Tensor, num_heads: int, num_guided: int, is_phoneme: Tensor, is_token: Tensor
) -> Tensor:
    """Scores of the first heads, before their softmax, at the audio positions.

    Args:
        projection: (batch, phoneme + token, 3 * dim), see ``recorded_projections``.
        num_heads: of the layer.
        num_guided: how many of them are wanted.
        is_phoneme, is_token: (batch, phoneme) and (batch, token) bool, False where padding.

    Returns:
        (batch, guided head, token, phoneme + token) float32, -inf where a position cannot look.
    """
    batch, time, _ = projection.shape
    num_phonemes = is_phoneme.shape[1]
    heads = projection.view(batch, time, 3, num_heads, -1)[:, :, :2, :num_guided].float()
    query, key = heads.permute(2, 0, 3, 1, 4)
    query = query[:, :, num_phonemes:] / query.shape[3] ** 0.5
    visible = visible_keys(is_phoneme, is_token)[:, None, num_phonemes:]
    scores: Tensor = (query @ key.transpose(2, 3)).masked_fill(~visible, -torch.inf)
    return scores


def guided_attention_loss(
    scores: Tensor, expected: Tensor, is_phoneme: Tensor, is_token: Tensor, sigma: float
) -> Tensor:
    """Minus the logarithm of the attention that falls near the expected phoneme, summed.

    With attention ``a = softmax(scores)`` and ``w = exp(-((n - expected) / (sigma * N))**2 / 2)``
    this is ``-log(sum_n a_n * w_n)``, computed from the scores: neither is ever made.

    Args:
        scores: (batch, head, token, phoneme + token), see ``text_scores``.
        expected: (batch, token), index of the phoneme being spoken, counted from the text's first.
        is_phoneme, is_token: (batch, phoneme), padded on the left, and (batch, token), bool.
        sigma: width of "near", as a share of the text's length N.

    Returns:
        A scalar: the sum over real tokens of the mean over heads.
    """
    num_phonemes = is_phoneme.shape[1]
    lens = is_phoneme.sum(dim=1, keepdim=True)
    index = torch.arange(num_phonemes, device=lens.device) - (num_phonemes - lens)
    distance = (index[:, None, :] - expected[:, :, None]) / (sigma * lens[:, None])
    near = (scores[..., :num_phonemes] - 0.5 * distance.square()[:, None]).logsumexp(dim=3)
    per_token = (scores.logsumexp(dim=3) - near).mean(dim=1)
    return per_token.masked_fill(~is_token, 0.0).sum()
