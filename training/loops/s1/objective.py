"""What a batch of S1 is worth, as this worker's share of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from models.gpt_sovits.s1.guided_attention import (
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
    guided_layers: Sequence[int] = (),
    num_guided_heads: int = 0,
    sigma: float = 0.0,
) -> dict[str, Tensor]:
    """The terms of one batch; added over workers they are those of the whole batch.

    Args:
        network: in train mode.
        batch: of this worker.
        has_padding: count the end tokens that fill short rows, as the reference does.
        label_smoothing: of the cross-entropy.
        guided_layers, num_guided_heads, sigma: of guided attention; no layers for none.

    Returns:
        ``cross_entropy`` and ``preference`` (0 without) summed as in ``models...s1.loss``, and
        ``guided_attention`` (0 without) summed over tokens.
    """
    with recorded_projections(network, guided_layers) as projections:
        logits = teacher_forced_logits(network, batch.clean, batch.inputs)
    targets = batch.targets if has_padding else real_targets(batch.clean, batch.targets)
    zero = logits.new_zeros((), dtype=torch.float32)
    terms = {
        "cross_entropy": cross_entropy(logits, targets, label_smoothing),
        "preference": zero,
        "guided_attention": zero,
    }
    if batch.rejected:
        share = len(batch.rejected) / batch.num_rows
        terms["preference"] = share * _preference(network, batch, logits)
    if projections:
        guided = [_guided(network, batch, p, num_guided_heads, sigma) for p in projections]
        terms["guided_attention"] = torch.stack(guided).mean()
    return terms


def _preference(network: Text2Semantic, batch: S1TrainingBatch, logits: Tensor) -> Tensor:
    """Against the same batch with worse tokens."""
    clean = batch.clean
    tokens = torch.nn.utils.rnn.pad_sequence(batch.rejected, batch_first=True).to(logits.device)
    lens = torch.tensor([len(row) for row in batch.rejected], device=logits.device)
    worse = S1Batch(clean.phoneme_ids, clean.bert_features, clean.phoneme_lens, tokens, lens)
    worse_targets = next_token_targets(tokens, lens, network.config.end_token)
    worse_logits = teacher_forced_logits(network, worse, worse_targets)
    return preference_loss(logits, batch.targets, worse_logits, worse_targets)


def _guided(
    network: Text2Semantic,
    batch: S1TrainingBatch,
    projection: Tensor,
    num_heads: int,
    sigma: float,
) -> Tensor:
    clean = batch.clean
    num_phonemes, num_tokens = clean.phoneme_ids.shape[1], clean.tokens.shape[1]
    padding = num_phonemes - clean.phoneme_lens.unsqueeze(1)
    is_phoneme = torch.arange(num_phonemes, device=projection.device) >= padding
    is_token = torch.arange(num_tokens, device=projection.device) < clean.token_lens.unsqueeze(1)
    scores = text_scores(projection, network.config.num_heads, num_heads, is_phoneme, is_token)
    return guided_attention_loss(scores, batch.expected_phoneme, is_phoneme, is_token, sigma)
