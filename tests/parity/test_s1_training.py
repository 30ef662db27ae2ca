"""S1's teacher-forced pass, loss and gradients against the reference.

Vectors and tolerances: tests/parity/data/gpt_sovits_v2/README.md, files ``s1_*_single.npz``,
``s1_*_teacher_forced.npz`` and ``s1_*_grad_norms.json``.

The batch was made with the reference's text mask, which hides the first phonemes of a short
right-padded text and shows the padding. ``forward`` pads on the left and has no such fault, so
these tests put the network's parts together the reference's way.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from models.gpt_sovits.s1.loss import (
    S1Batch,
    cross_entropy_sum,
    next_token_targets,
    preference_loss,
    s1_loss,
    spoil,
    teacher_forced_logits,
    top_k_accuracy,
)
from models.gpt_sovits.s1.network import Text2Semantic, visible_keys
from models.gpt_sovits.s1.upstream_keys import to_upstream
from tests.parity.s1_reference import GOLDEN, bert_features, network_for

TOLERANCE = 1e-4
LOSS_TOLERANCE = 1e-3
GRADIENT_TOLERANCE = 1e-3  # relative
# The gradient of a position scale is a sum of large terms that cancel.
SCALE_GRADIENT_TOLERANCE = 5e-3

sizes = pytest.mark.parametrize("size", ["tiny", pytest.param("full", marks=pytest.mark.slow)])


@dataclass(frozen=True)
class ReferenceBatch:
    """Two utterances padded on the right, and the reference's forward pass over them."""

    network: Text2Semantic
    arrays: dict[str, np.ndarray]
    phoneme_ids: Tensor
    bert_features: Tensor
    phoneme_lens: Tensor
    tokens: Tensor
    token_lens: Tensor

    @property
    def end_token(self) -> int:
        return self.network.config.end_token

    def embed(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        positions = torch.arange(self.phoneme_ids.shape[1])
        text = self.network.embed_text(self.phoneme_ids, self.bert_features, positions)
        tokens = targets[:, :-1]
        return text, self.network.embed_tokens(tokens, torch.arange(tokens.shape[1]))

    def is_real(self, targets: Tensor, token_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Phonemes and tokens that are not taken for padding."""
        num_phonemes, num_tokens = self.phoneme_ids.shape[1], targets.shape[1] - 1
        # As if the text were padded on the left.
        hidden_phonemes = num_phonemes - self.phoneme_lens.unsqueeze(1)
        is_phoneme = torch.arange(num_phonemes) >= hidden_phonemes
        return is_phoneme, torch.arange(num_tokens) < token_lens.unsqueeze(1)

    def hidden(self, targets: Tensor, token_lens: Tensor) -> Tensor:
        return self.network.transform(*self.embed(targets), *self.is_real(targets, token_lens))

    def logits(self, targets: Tensor, token_lens: Tensor) -> Tensor:
        hidden = self.hidden(targets, token_lens)
        logits: Tensor = self.network.output(hidden[:, self.phoneme_ids.shape[1] - 1 :])
        return logits

    def targets(self) -> Tensor:
        return next_token_targets(self.tokens, self.token_lens, self.end_token)


def batch_features(size: str, network: Text2Semantic, file_name: str) -> Tensor:
    """BERT features of the batch, before the padding is zeroed, with the salt of a golden file."""
    num_utterances, num_phonemes = GOLDEN.arrays(f"s1_{size}_teacher_forced.npz")["x"].shape
    shape = (num_utterances, network.config.bert_dim, num_phonemes)
    return bert_features(f"s1/{size}/bert", shape, file_name)


def reference_batch(size: str) -> ReferenceBatch:
    file_name = f"s1_{size}_teacher_forced.npz"
    arrays = GOLDEN.arrays(file_name)
    network = network_for(size, file_name)
    phoneme_ids, phoneme_lens, tokens, token_lens = (
        torch.from_numpy(arrays[name]) for name in ("x", "x_lens", "y", "y_lens")
    )
    features = batch_features(size, network, file_name).clone()
    for row, length in enumerate(phoneme_lens.tolist()):
        features[row, length:] = 0
    return ReferenceBatch(network, arrays, phoneme_ids, features, phoneme_lens, tokens, token_lens)


def assert_close(got: Tensor, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    np.testing.assert_allclose(got.detach(), expected, rtol=0, atol=tolerance)


@sizes
def test_one_utterance_has_the_reference_logits_and_loss(size: str) -> None:
    file_name = f"s1_{size}_single.npz"
    arrays = GOLDEN.arrays(file_name)
    network = network_for(size, file_name)
    phoneme_ids, tokens = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    num_phonemes = phoneme_ids.shape[1]
    features = batch_features(size, network, file_name)[1:, :num_phonemes]
    batch = S1Batch(
        phoneme_ids, features, torch.tensor([num_phonemes]), tokens, torch.tensor([tokens.shape[1]])
    )
    targets = next_token_targets(tokens, batch.token_lens, network.config.end_token)
    with torch.no_grad():
        logits = teacher_forced_logits(network, batch, targets)
        loss = s1_loss(network, batch)
    assert torch.equal(targets, torch.from_numpy(arrays["targets"]))
    if size == "tiny":
        assert_close(logits, arrays["logits"])
    else:
        assert_close(logits[..., ::8], arrays["logits_slice"])
    assert_close(logits.logsumexp(-1), arrays["logsumexp"])
    assert torch.equal(logits.argmax(-1), torch.from_numpy(arrays["argmax"]))
    assert_close(loss, arrays["loss_ce_sum"], LOSS_TOLERANCE)


@sizes
def test_a_padded_batch_has_the_reference_logits_loss_and_accuracy(size: str) -> None:
    batch = reference_batch(size)
    targets = batch.targets()
    with torch.no_grad():
        logits = batch.logits(targets, batch.token_lens)
    assert torch.equal(targets, torch.from_numpy(batch.arrays["targets"]))
    if size == "tiny":
        assert_close(logits, batch.arrays["logits"])
    else:
        assert_close(logits[..., ::16], batch.arrays["logits_slice"])
        assert_close(logits.logsumexp(-1), batch.arrays["logsumexp"])
        assert_close(logits[1, -1], batch.arrays["logits_row_item1_last"])
        argmax = torch.from_numpy(batch.arrays["logits_argmax"])
        assert torch.equal(logits.argmax(-1), argmax)
    loss = cross_entropy_sum(logits, targets)
    assert_close(loss, batch.arrays["loss_ce_sum"], LOSS_TOLERANCE)
    accuracy = top_k_accuracy(logits, targets, batch.end_token)
    assert accuracy.item() == pytest.approx(float(batch.arrays["top3_acc"]), abs=1e-6)


@sizes
def test_the_transformer_sees_and_gives_what_the_reference_does(size: str) -> None:
    batch = reference_batch(size)
    with torch.no_grad():
        embedded = torch.cat(batch.embed(batch.targets()), dim=1)
        hidden = batch.hidden(batch.targets(), batch.token_lens)
    if size == "full":
        assert_close(embedded[..., ::32], batch.arrays["dec_in_slice"])
        return
    assert_close(embedded, batch.arrays["dec_in"])
    assert_close(hidden, batch.arrays["dec_out"])


def test_what_each_position_sees_is_what_it_sees_in_the_reference() -> None:
    batch = reference_batch("tiny")
    visible = visible_keys(*batch.is_real(batch.targets(), batch.token_lens))
    for row, is_visible in enumerate(visible):
        added_to_scores = torch.zeros(is_visible.shape).masked_fill(~is_visible, -torch.inf)
        expected = torch.from_numpy(batch.arrays[f"attn_mask_item{row}"])
        assert torch.equal(added_to_scores, expected)


@sizes
@pytest.mark.parametrize("case", ["", "B"])
def test_the_preference_term_equals_the_reference(size: str, case: str) -> None:
    batch = reference_batch(size)
    specs = batch.arrays[f"dpo_reject_spec{case}"].tolist()
    spoiled = [
        spoil(tokens, is_removal=bool(mode), start=start, stop=stop)
        for tokens, (mode, start, stop) in zip(batch.tokens, specs, strict=True)
    ]
    rejected = torch.nn.utils.rnn.pad_sequence(spoiled, batch_first=True)
    rejected_lens = torch.tensor([len(row) for row in spoiled])
    assert torch.equal(rejected, torch.from_numpy(batch.arrays[f"reject_y{case}"]))
    assert torch.equal(rejected_lens, torch.from_numpy(batch.arrays[f"reject_y{case}_lens"]))

    targets = batch.targets()
    rejected_targets = next_token_targets(rejected, rejected_lens, batch.end_token)
    with torch.no_grad():
        logits = batch.logits(targets, batch.token_lens)
        rejected_logits = batch.logits(rejected_targets, rejected_lens)
    loss = cross_entropy_sum(logits, targets)
    loss += preference_loss(logits, targets, rejected_logits, rejected_targets)
    assert_close(loss, batch.arrays[f"loss_with_dpo{case}"], LOSS_TOLERANCE)


@sizes
def test_gradients_have_the_reference_norms(size: str) -> None:
    expected = GOLDEN.json(f"s1_{size}_grad_norms.json")
    batch = reference_batch(size)
    batch.network.zero_grad(set_to_none=True)
    loss = cross_entropy_sum(batch.logits(batch.targets(), batch.token_lens), batch.targets())
    loss.backward()
    gradients = to_upstream(dict(batch.network.named_parameters()))
    assert loss.item() == pytest.approx(expected["loss"], abs=LOSS_TOLERANCE)
    assert gradients.keys() == expected["grad_l2"].keys()
    for key, parameter in gradients.items():
        assert parameter.grad is not None
        tolerance = SCALE_GRADIENT_TOLERANCE if key.endswith("alpha") else GRADIENT_TOLERANCE
        norm = parameter.grad.double().norm().item()
        assert norm == pytest.approx(expected["grad_l2"][key], rel=tolerance), key
