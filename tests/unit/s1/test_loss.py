"""Padding does not show in what S1 is trained on, and every loss reaches every weight."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.generation import S1Request
from models.gpt_sovits.s1.loss import (
    S1Batch,
    collate,
    next_token_targets,
    preference_loss,
    s1_loss,
    spoil,
    spoil_at_random,
    teacher_forced_logits,
    top_k_accuracy,
)
from models.gpt_sovits.s1.network import Text2Semantic

MakeRequest = Callable[[S1Config, int], S1Request]


def utterances(config: S1Config, make_request: MakeRequest) -> list[S1Request]:
    """Of different lengths; the prompt tokens serve as the utterance's tokens."""
    requests = (make_request(config, seed) for seed in range(40))
    return [request for request in requests if len(request.prompt_tokens) > 2][:5]


def batch_of(requests: list[S1Request], end_token: int) -> S1Batch:
    return collate(
        [request.phoneme_ids for request in requests],
        [request.bert_features for request in requests],
        [request.prompt_tokens for request in requests],
        end_token,
    )


def test_an_utterance_has_the_logits_in_a_padded_batch_that_it_has_alone(
    tiny_network: Text2Semantic, make_request: MakeRequest
) -> None:
    config = tiny_network.config
    requests = utterances(config, make_request)

    def logits(of: list[S1Request]) -> Tensor:
        batch = batch_of(of, config.end_token)
        targets = next_token_targets(batch.tokens, batch.token_lens, config.end_token)
        with torch.no_grad():
            return teacher_forced_logits(tiny_network, batch, targets)

    together = logits(requests)
    for row, request in enumerate(requests):
        alone = logits([request])[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, rtol=0, atol=1e-5)


def test_targets_are_the_tokens_and_then_the_end() -> None:
    tokens = torch.tensor([[1, 2, 3], [4, 9, 9]])
    targets = next_token_targets(tokens, torch.tensor([3, 1]), end_token=7)
    assert targets.tolist() == [[1, 2, 3, 7], [4, 7, 7, 7]]


@pytest.mark.parametrize("has_rejected", [False, True])
def test_the_loss_reaches_every_weight(
    tiny_network: Text2Semantic, make_request: MakeRequest, has_rejected: bool
) -> None:
    requests = utterances(tiny_network.config, make_request)
    generator = torch.Generator().manual_seed(0)
    rejected = [spoil_at_random(request.prompt_tokens, generator) for request in requests]
    batch = batch_of(requests, tiny_network.config.end_token)
    tiny_network.zero_grad(set_to_none=True)
    s1_loss(tiny_network, batch, rejected if has_rejected else ()).backward()
    for name, parameter in tiny_network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_preference_loss_alone_falls_along_its_gradient() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 6, requires_grad=True)
    rejected_logits = torch.randn(2, 5, 6)
    targets, rejected = torch.randint(6, (2, 4)), torch.randint(6, (2, 5))
    loss = preference_loss(logits, targets, rejected_logits, rejected)
    (gradient,) = torch.autograd.grad(loss, logits)
    lower = preference_loss(logits - gradient, targets, rejected_logits, rejected)
    assert lower < loss


def test_spoiling_repeats_or_drops_the_span() -> None:
    tokens = torch.arange(6)
    assert spoil(tokens, is_removal=False, start=1, stop=3).tolist() == [0, 1, 2, 1, 2, 3, 4, 5]
    assert spoil(tokens, is_removal=True, start=1, stop=3).tolist() == [0, 3, 4, 5]


def test_random_spoiling_does_both_and_is_reproducible() -> None:
    def lengths(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return [len(spoil_at_random(torch.arange(20), generator)) for _ in range(50)]

    assert lengths(1) == lengths(1)
    assert min(lengths(1)) < 20 < max(lengths(1))


def test_accuracy_counts_hits_among_the_likeliest_and_leaves_out_the_end() -> None:
    logits = torch.tensor([[[4.0, 3.0, 2.0, 1.0, 0.0]] * 4])
    targets = torch.tensor([[0, 2, 3, 4]])
    assert top_k_accuracy(logits, targets, end_token=4).item() == pytest.approx(2 / 3)
