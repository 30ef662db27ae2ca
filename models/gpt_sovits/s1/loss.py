"""What S1 is trained on: the cross-entropy of the next token, and optionally a preference term."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.gpt_sovits.s1.network import Text2Semantic

# Weight of the log-probability gap in the preference loss, "beta" in Rafailov et al. 2023.
PREFERENCE_SCALE = 0.2


@dataclass(frozen=True)
class S1Batch:
    """Utterances padded to common lengths: texts on the left, tokens on the right.

    Shapes: phoneme_ids (batch, phoneme) and tokens (batch, token) int64, bert_features (batch,
    phoneme, channel) float32, the lengths (batch,) int64.
    """

    phoneme_ids: Tensor
    bert_features: Tensor
    phoneme_lens: Tensor
    tokens: Tensor
    token_lens: Tensor


def collate(
    phoneme_ids: Sequence[Tensor],
    bert_features: Sequence[Tensor],
    tokens: Sequence[Tensor],
    end_token: int,
) -> S1Batch:
    """Pad single utterances: (phoneme,) ids, (phoneme, channel) features, (token,) tokens each."""
    return S1Batch(
        phoneme_ids=_pad(phoneme_ids, 0, side="left"),
        bert_features=_pad(bert_features, 0, side="left"),
        phoneme_lens=_lengths(phoneme_ids),
        tokens=_pad(tokens, end_token, side="right"),
        token_lens=_lengths(tokens),
    )


def next_token_targets(tokens: Tensor, token_lens: Tensor, end_token: int) -> Tensor:
    """(batch, token) -> (batch, token + 1): the tokens, then the end token to the last column."""
    extended = F.pad(tokens, (0, 1))
    columns = torch.arange(extended.shape[1], device=tokens.device)
    return extended.masked_fill(columns >= token_lens.unsqueeze(1), end_token)


def cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed over every target of the batch, the end tokens that fill short rows included.

    The reference's learning rate belongs to this sum: dividing by batch or length would change it.
    """
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")


def teacher_forced_logits(network: Text2Semantic, batch: S1Batch, targets: Tensor) -> Tensor:
    """(batch, token + 1, vocab) for the targets that ``next_token_targets`` made of the batch."""
    logits: Tensor = network(
        batch.phoneme_ids,
        batch.bert_features,
        batch.phoneme_lens,
        targets[:, :-1],
        batch.token_lens,
    )
    return logits


def s1_loss(network: Text2Semantic, batch: S1Batch, rejected: Sequence[Tensor] = ()) -> Tensor:
    """The training loss of one batch.

    Args:
        network: in train mode for training (dropout), in eval mode for a comparable number.
        batch: from ``collate``.
        rejected: for every row a worse version of its tokens (see ``spoil``), which adds the
            preference loss; none for cross-entropy alone.

    Returns:
        A scalar.
    """
    end_token = network.config.end_token
    targets = next_token_targets(batch.tokens, batch.token_lens, end_token)
    logits = teacher_forced_logits(network, batch, targets)
    loss = cross_entropy_sum(logits, targets)
    if not rejected:
        return loss
    worse = S1Batch(
        batch.phoneme_ids,
        batch.bert_features,
        batch.phoneme_lens,
        _pad(rejected, 0, side="right"),
        _lengths(rejected),
    )
    worse_targets = next_token_targets(worse.tokens, worse.token_lens, end_token)
    worse_logits = teacher_forced_logits(network, worse, worse_targets)
    return loss + preference_loss(logits, targets, worse_logits, worse_targets)


def preference_loss(
    logits: Tensor, targets: Tensor, rejected_logits: Tensor, rejected_targets: Tensor
) -> Tensor:
    """Reference-free direct preference optimisation, averaged over the batch.

    ``-log sigmoid(scale * (log p(targets) - log p(rejected)))``, each log p summed over its row.
    """
    gap = _log_probability(logits, targets) - _log_probability(rejected_logits, rejected_targets)
    return -F.logsigmoid(PREFERENCE_SCALE * gap).mean()


def spoil(tokens: Tensor, is_removal: bool, start: int, stop: int) -> Tensor:
    """(token,) with the span [start, stop) removed, or else said twice: errors S1 tends to make."""
    if is_removal:
        return torch.cat((tokens[:start], tokens[stop:]))
    return torch.cat((tokens[:stop], tokens[start:]))


def spoil_at_random(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """``spoil`` with a fair coin and two random cuts, drawn on the CPU."""
    start, stop = torch.randint(len(tokens), (2,), generator=generator).sort().values.tolist()
    is_removal = bool(torch.randint(2, (), generator=generator))
    return spoil(tokens, is_removal, start, stop)


def top_k_accuracy(logits: Tensor, targets: Tensor, end_token: int, k: int = 3) -> Tensor:
    """Share of targets among the k likeliest tokens; end tokens do not count. Scalar float."""
    is_hit = (logits.topk(k, dim=-1).indices == targets.unsqueeze(-1)).any(-1)
    is_counted = targets != end_token
    return (is_hit & is_counted).sum() / is_counted.sum()


def _log_probability(logits: Tensor, targets: Tensor) -> Tensor:
    """(batch, token, vocab), (batch, token) -> (batch,): log-probability of each whole row."""
    log_probabilities = F.log_softmax(logits.float(), dim=-1)
    return log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1).sum(-1)


def _pad(rows: Sequence[Tensor], value: int, side: str) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(
        list(rows), batch_first=True, padding_value=value, padding_side=side
    )


def _lengths(rows: Sequence[Tensor]) -> Tensor:
    return torch.tensor([len(row) for row in rows], device=rows[0].device)
