"""A push for S1 to look where it reads: attention of some heads near the phoneme being spoken.

A small network on little data learns to continue speech long before it learns to read. Some heads
are therefore asked to keep their attention near where the text should be by then (Tachibana et al.,
2018, "Efficiently trainable text-to-speech system based on deep convolutional networks with guided
attention"); here as the negative logarithm of the attention that falls there. Or they are asked to
read the text in order, at whatever pace. The weights' format does not change, and once heads look
at the text the terms can be taken away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.gpt_sovits.s1.network import Text2Semantic, visible_keys

# As in RAD-TTS: below the scores of a trained head, above those of phonemes far away.
_BLANK_SCORE = -1.0
_NEVER_READ = -1e4


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
        expected: (batch, token), index of the phoneme being spoken, counted from the text's first;
            NaN where nobody knows, which counts nothing.
        is_phoneme, is_token: (batch, phoneme), padded on the left, and (batch, token), bool.
        sigma: width of "near", as a share of the text's length N.

    Returns:
        A scalar: the sum over real tokens of the mean over heads.
    """
    num_phonemes = is_phoneme.shape[1]
    lens = is_phoneme.sum(dim=1, keepdim=True)
    index = torch.arange(num_phonemes, device=lens.device) - (num_phonemes - lens)
    is_known = is_token & expected.isfinite()
    distance = (index[:, None, :] - expected.nan_to_num()[:, :, None]) / (sigma * lens[:, None])
    near = (scores[..., :num_phonemes] - 0.5 * distance.square()[:, None]).logsumexp(dim=3)
    per_token = (scores.logsumexp(dim=3) - near).mean(dim=1)
    return per_token.masked_fill(~is_known, 0.0).sum()


def alignment_loss(scores: Tensor, is_phoneme: Tensor, is_token: Tensor) -> Tensor:
    """Minus the log-probability that attention reads the text once, from first to last, summed.

    All monotonic ways to walk through the text are added up (Shih et al., 2021, "RAD-TTS", as CTC),
    so that unlike ``guided_attention_loss`` it needs no idea of when a phoneme is spoken.

    Args:
        scores: (batch, head, token, phoneme + token), see ``text_scores``.
        is_phoneme, is_token: (batch, phoneme), padded on the left, and (batch, token), bool.

    Returns:
        A scalar: the sum over rows of the mean over heads; 0 for a row with fewer tokens than
        phonemes, which cannot be read so.
    """
    num_phonemes = is_phoneme.shape[1]
    num_heads = scores.shape[1]
    # CTC's gradient is not finite at -inf.
    text = scores[..., :num_phonemes].flatten(0, 1).clamp(min=_NEVER_READ)
    # CTC's blank is class 0: a token that speaks no phoneme, at a score of its own.
    log_probs = F.pad(text, (1, 0), value=_BLANK_SCORE).log_softmax(dim=2)
    lens = is_phoneme.sum(dim=1).repeat_interleave(num_heads)
    # Texts are padded on the left, so the classes of a row end with the last column.
    steps = torch.arange(num_phonemes, device=lens.device)
    classes = (num_phonemes - lens).unsqueeze(1) + 1 + steps
    loss: Tensor = F.ctc_loss(
        log_probs.transpose(0, 1),
        classes.clamp(max=num_phonemes),
        is_token.sum(dim=1).repeat_interleave(num_heads),
        lens,
        reduction="sum",
        zero_infinity=True,
    )
    return loss / num_heads
