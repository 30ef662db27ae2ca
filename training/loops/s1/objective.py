"""What a batch of S1 is worth, as this worker's share of the whole batch."""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor

from models.gpt_sovits.s1.guided_attention import (
    alignment_loss,
    guided_attention_loss,
    recorded_projections,
    text_scores,
)
from models.gpt_sovits.s1.loss import (
    S1Batch,
    next_token_targets,
    preference_loss,
    teacher_forced_logits,
)
from models.gpt_sovits.s1.network import Text2Semantic
from training.loops.s1.args import GuidedAttentionArgs
from training.loops.s1.data import S1TrainingBatch

_IGNORED = -100


def real_targets(batch: S1Batch, targets: Tensor) -> Tensor:
    """The targets with all but the tokens and one end a row marked to be ignored."""
    columns = torch.arange(targets.shape[1], device=targets.device)
    return targets.masked_fill(columns > batch.token_lens.unsqueeze(1), _IGNORED)


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Summed over targets that are not ignored."""
    return F.cross_entropy(
        logits.flatten(0, 1).float(),
        targets.flatten(),
        reduction="sum",
        ignore_index=_IGNORED,
        label_smoothing=label_smoothing,
    )


def losses(
    network: Text2Semantic,
    batch: S1TrainingBatch,
    has_padding: bool,
    label_smoothing: float,
    guidance: GuidedAttentionArgs,
    guided_by: Collection[str] = (),
) -> dict[str, Tensor]:
    """The terms of one batch; added over workers they are those of the whole batch.

    Args:
        network: in train mode.
        batch: of this worker.
        has_padding: count the end tokens that fill short rows, as the reference does.
        label_smoothing: of the cross-entropy.
        guidance: which heads to look at.
        guided_by: which of the last two terms are wanted.

    Returns:
        ``cross_entropy`` and ``preference`` (0 without) summed as in ``models...s1.loss``, and
        ``guided_attention`` and ``alignment`` (0 without) summed over tokens.
    """
    layers = guidance.layers if guided_by else ()
    with recorded_projections(network, layers) as projections:
        logits = teacher_forced_logits(network, batch.clean, batch.inputs)
    targets = batch.targets if has_padding else real_targets(batch.clean, batch.targets)
    zero = logits.new_zeros((), dtype=torch.float32)
    terms = {
        "cross_entropy": cross_entropy(logits, targets, label_smoothing),
        "preference": zero,
        "guided_attention": zero,
        "alignment": zero,
    }
    if batch.rejected is not None:
        share = len(batch.targets) / batch.num_rows
        terms["preference"] = share * _preference(network, batch.rejected, logits, batch.targets)
    for projection in projections:
        of_layer = _attention_terms(network, batch, projection, guidance, guided_by)
        for name, term in of_layer.items():
            terms[name] = terms[name] + term / len(projections)
    return terms


def _preference(
    network: Text2Semantic, rejected: S1Batch, logits: Tensor, targets: Tensor
) -> Tensor:
    """Of the true tokens over worse ones of the same texts."""
    worse = next_token_targets(rejected.tokens, rejected.token_lens, network.config.end_token)
    return preference_loss(logits, targets, teacher_forced_logits(network, rejected, worse), worse)


def _attention_terms(
    network: Text2Semantic,
    batch: S1TrainingBatch,
    projection: Tensor,
    guidance: GuidedAttentionArgs,
    guided_by: Collection[str],
) -> dict[str, Tensor]:
    clean = batch.clean
    num_phonemes, num_tokens = clean.phoneme_ids.shape[1], clean.tokens.shape[1]
    padding = num_phonemes - clean.phoneme_lens.unsqueeze(1)
    is_phoneme = torch.arange(num_phonemes, device=projection.device) >= padding
    is_token = torch.arange(num_tokens, device=projection.device) < clean.token_lens.unsqueeze(1)
    num_heads = network.config.num_heads
    scores = text_scores(projection, num_heads, guidance.num_heads, is_phoneme, is_token)
    terms = {}
    if "guided_attention" in guided_by:
        terms["guided_attention"] = guided_attention_loss(
            scores, batch.expected_phoneme, is_phoneme, is_token, guidance.sigma
        )
    if "alignment" in guided_by:
        terms["alignment"] = alignment_loss(scores, is_phoneme, is_token)
    return terms
