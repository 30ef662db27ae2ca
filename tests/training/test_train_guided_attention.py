"""Guided attention is what its formula says, and looks where the text should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.gpt_sovits.s1.guided_attention import (
    alignment_loss,
    guided_attention_loss,
    recorded_projections,
    text_scores,
)
from models.gpt_sovits.s1.loss import S1Batch, collate, next_token_targets, teacher_forced_logits
from models.gpt_sovits.s1.network import Text2Semantic
from tests.training.train_clips import S1_TINY, made_up_clips
from training.loops.s1.data import joined, utterance
from training.loops.s1.timings import expected_phoneme, read_timings
from training.loops.strict import ConfigError


def random_batch() -> S1Batch:
    generator = torch.Generator().manual_seed(0)
    phonemes = [torch.randint(12, (n,), generator=generator) for n in (7, 4)]
    tokens = [torch.randint(16, (n,), generator=generator) for n in (9, 12)]
    return collate(phonemes, [torch.zeros(len(p), 2) for p in phonemes], tokens, 16)


def masks(batch: S1Batch) -> tuple[torch.Tensor, torch.Tensor]:
    num_phonemes, num_tokens = batch.phoneme_ids.shape[1], batch.tokens.shape[1]
    is_phoneme = torch.arange(num_phonemes) >= num_phonemes - batch.phoneme_lens.unsqueeze(1)
    return is_phoneme, torch.arange(num_tokens) < batch.token_lens.unsqueeze(1)


def test_scores_are_those_the_layer_attends_with() -> None:
    torch.manual_seed(0)
    network, batch = Text2Semantic(S1_TINY).eval(), random_batch()
    is_phoneme, is_token = masks(batch)
    values = {}
    layer = network.layers[1]
    hook = layer.attention_out.register_forward_pre_hook(
        lambda module, inputs: values.update(attended=inputs[0])
    )
    targets = next_token_targets(batch.tokens, batch.token_lens, 16)
    with torch.no_grad(), recorded_projections(network, [1]) as projections:
        teacher_forced_logits(network, batch, targets)
    hook.remove()
    (projection,) = projections
    scores = text_scores(projection, 2, 2, is_phoneme, is_token)
    value = projection.view(2, projection.shape[1], 3, 2, -1)[:, :, 2].transpose(1, 2)
    attended = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
    expected = values["attended"][:, batch.phoneme_ids.shape[1] :]
    torch.testing.assert_close(attended, expected, rtol=1e-4, atol=1e-5)


def test_nothing_is_recorded_after_the_pass_that_was_asked_for() -> None:
    network, batch = Text2Semantic(S1_TINY).eval(), random_batch()
    targets = next_token_targets(batch.tokens, batch.token_lens, 16)
    with recorded_projections(network, [0, 1]) as projections:
        teacher_forced_logits(network, batch, targets)
    teacher_forced_logits(network, batch, targets)
    assert len(projections) == 2


def test_the_loss_is_minus_log_of_the_attention_near_the_expected_phoneme() -> None:
    batch, sigma = random_batch(), 0.1
    is_phoneme, is_token = masks(batch)
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(2, 3, 12, 7 + 12, generator=generator)
    scores[1, :, :, :3] = -torch.inf  # the short text's padding
    expected = 4 * torch.rand(2, 12, generator=generator)
    attention = scores.softmax(-1)
    total = 0.0
    for row, num_phonemes in enumerate((7, 4)):
        for token in range(int(batch.token_lens[row])):
            index = torch.arange(num_phonemes)
            distance = (index - expected[row, token]) / (sigma * num_phonemes)
            near = torch.exp(-distance.square() / 2)
            text = attention[row, :, token, 7 - num_phonemes : 7]
            total -= float((text * near).sum(-1).log().mean())
    loss = guided_attention_loss(scores, expected, is_phoneme, is_token, sigma)
    assert abs(float(loss) - total) < 1e-3


def test_masked_positions_leave_gradients_finite() -> None:
    torch.manual_seed(0)
    network, batch = Text2Semantic(S1_TINY), random_batch()
    is_phoneme, is_token = masks(batch)
    targets = next_token_targets(batch.tokens, batch.token_lens, 16)
    with recorded_projections(network, [0]) as projections:
        teacher_forced_logits(network, batch, targets)
    scores = text_scores(projections[0], 2, 1, is_phoneme, is_token)
    guided_attention_loss(scores, torch.zeros(2, 12), is_phoneme, is_token, 0.05).backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients and all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_alignment_adds_up_every_way_to_read_the_text_in_order() -> None:
    is_phoneme = torch.tensor([[False, True, True]])
    is_token = torch.tensor([[True, True, True, False]])
    scores = torch.randn(1, 1, 4, 3 + 4, generator=torch.Generator().manual_seed(0))
    scores[..., 0] = -torch.inf
    blank = torch.full((4, 1), -1.0)
    blank_or, first, second = torch.cat((blank, scores[0, 0, :, 1:3]), 1).softmax(-1).unbind(1)
    # Three tokens: each phoneme once or more, in order, silence anywhere.
    b, x, y = (row.tolist() for row in (blank_or, first, second))
    total = sum(
        (
            x[0] * x[1] * y[2],
            x[0] * y[1] * y[2],
            b[0] * x[1] * y[2],
            x[0] * b[1] * y[2],
            x[0] * y[1] * b[2],
        )
    )
    loss = alignment_loss(scores, is_phoneme, is_token)
    torch.testing.assert_close(loss, -torch.tensor(total).log())


def test_a_text_longer_than_its_audio_is_not_asked_to_align() -> None:
    is_phoneme, is_token = torch.ones(1, 5, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
    scores = torch.randn(1, 2, 3, 8, requires_grad=True)
    loss = alignment_loss(scores, is_phoneme, is_token)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert float(loss.detach()) == 0.0 and not bool(gradient.any())


def test_text_is_spread_over_a_clips_time_and_a_pairs_halves() -> None:
    first, second = (utterance(clip) for clip in made_up_clips(2))
    both = joined([first, second])
    num_phonemes, num_tokens = len(first.phoneme_ids), len(first.tokens)
    assert torch.equal(both.expected_phoneme[:num_tokens], first.expected_phoneme)
    expected = second.expected_phoneme + num_phonemes
    assert torch.equal(both.expected_phoneme[num_tokens:], expected)
    assert float(first.expected_phoneme[-1]) == num_phonemes - 1
    assert bool((first.expected_phoneme.diff() >= 0).all())


def test_tokens_whose_phoneme_nobody_knows_are_not_guided() -> None:
    batch = random_batch()
    is_phoneme, is_token = masks(batch)
    scores = torch.randn(2, 3, 12, 7 + 12, generator=torch.Generator().manual_seed(1))
    expected = torch.full((2, 12), 2.0)
    unknown = expected.clone()
    unknown[1] = torch.nan
    is_first = is_token & torch.tensor([[True], [False]])
    loss = guided_attention_loss(scores, unknown, is_phoneme, is_token, 0.1)
    assert loss == guided_attention_loss(scores, expected, is_phoneme, is_first, 0.1)


def test_a_position_expects_the_phoneme_heard_at_the_token_it_predicts() -> None:
    # Tokens of 40 ms; position t predicts token t + 1, of which the middle is at 60, 100, 140 ms.
    expected = expected_phoneme([0.08, 0.08, 0.16], num_tokens=5)
    torch.testing.assert_close(expected, torch.tensor([0.25, 1.75, 2.0, 2.0, 2.0]))


def test_timings_are_found_by_the_name_of_the_clip(tmp_path: Path) -> None:
    clip = made_up_clips(1)[0]
    num_phonemes = len(clip.phoneme_ids)
    ends_s = [0.1 * (n + 1) for n in range(num_phonemes)]
    path = tmp_path / "alignment.jsonl"
    path.write_text(json.dumps({"path": f"audio/one/{clip.name}", "phoneme_ends_s": ends_s}))
    timings = read_timings(path)
    known = utterance(clip, timings).expected_phoneme
    assert torch.equal(known, expected_phoneme(ends_s, len(clip.semantic_tokens)))
    assert utterance(clip, {}).expected_phoneme.isnan().all()
    with pytest.raises(ConfigError, match=clip.name):
        utterance(clip, {clip.name: ends_s[:-1]})
