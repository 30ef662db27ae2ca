"""Properties of the networks one by one."""

import copy
import math

import pytest
import torch
from torch import Tensor

from models.gpt_sovits.s2.attention import MultiHeadAttention
from models.gpt_sovits.s2.layers import fold_weight_norm, length_mask
from models.gpt_sovits.s2.prior_encoder import change_speed
from models.gpt_sovits.s2.synthesizer import Synthesizer, draw_slice_starts
from models.gpt_sovits.s2.upstream_keys import from_upstream, to_upstream
from tests.unit.s2.voices import SMALL, small_voice


def _latent(num_frames: int, batch: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """A latent, its full mask and a speaker."""
    z = torch.randn(batch, SMALL.latent_channels, num_frames)
    return z, torch.ones(batch, 1, num_frames), torch.randn(batch, SMALL.speaker_dim, 1)


@torch.inference_mode()
def test_relative_attention_equals_its_definition_pair_by_pair() -> None:
    torch.manual_seed(0)
    attention = MultiHeadAttention(num_channels=8, num_heads=2, is_relative=True)
    assert attention.offsets is not None
    x, num_frames, head_dim = torch.randn(1, 8, 12), 12, 4
    query, key, value = (
        project(x)[0].reshape(2, head_dim, num_frames)
        for project in (attention.query, attention.key, attention.value)
    )
    mixed = torch.zeros(2, head_dim, num_frames)
    for head in range(2):
        for i in range(num_frames):
            scores, values = torch.empty(num_frames), torch.empty(num_frames, head_dim)
            for j in range(num_frames):
                is_near = abs(j - i) <= 4
                key_offset = attention.offsets.keys[0, j - i + 4] if is_near else 0
                value_offset = attention.offsets.values[0, j - i + 4] if is_near else 0
                scores[j] = query[head, :, i] @ (key[head, :, j] + key_offset)
                values[j] = value[head, :, j] + value_offset
            mixed[head, :, i] = (scores / math.sqrt(head_dim)).softmax(0) @ values
    expected = attention.output(mixed.reshape(1, 8, num_frames))

    out = attention(x, x, torch.ones(1, 1, num_frames, num_frames))

    torch.testing.assert_close(out, expected)


@torch.inference_mode()
def test_flow_inverse_undoes_flow(voice: Synthesizer) -> None:
    z, mask, speaker = _latent(40)
    z_prior = voice.flow(z, mask, speaker)
    assert (z_prior - z).abs().mean() > 0.1
    torch.testing.assert_close(voice.flow.inverse(z_prior, mask, speaker), z, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_padding_changes_no_real_frame_of_the_prior(voice: Synthesizer) -> None:
    content, phoneme_ids = torch.randn(1, SMALL.ssl_dim, 30), torch.randint(700, (1, 9))
    speaker = torch.randn(1, SMALL.speaker_dim, 1)
    lens, phoneme_lens = torch.tensor([22]), torch.tensor([6])

    padded = voice.prior_encoder(content, lens, phoneme_ids, phoneme_lens, speaker)
    alone = voice.prior_encoder(content[:, :, :22], lens, phoneme_ids[:, :6], phoneme_lens, speaker)

    torch.testing.assert_close(padded.mean[:, :, :22], alone.mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(padded.log_std[:, :, :22], alone.log_std, atol=1e-5, rtol=1e-5)
    assert not padded.mean[:, :, 22:].any()


@torch.inference_mode()
def test_padding_changes_no_real_sample_of_the_generator(voice: Synthesizer) -> None:
    z, _, speaker = _latent(25, batch=2)
    lens = [25, 13]
    z = z * length_mask(torch.tensor(lens), 25)
    batched = voice.generator(z, speaker, lens)
    alone = voice.generator(z[1:, :, :13], speaker[1:])
    hop = SMALL.hop_length
    torch.testing.assert_close(batched[1:, :, : 13 * hop], alone, atol=1e-5, rtol=1e-5)
    assert not batched[1, :, 13 * hop :].any()


@torch.inference_mode()
def test_folding_weight_norm_changes_no_output() -> None:
    voice = small_voice(has_posterior=True)
    z, mask, speaker = _latent(20)
    before = voice.generator(z, speaker), voice.flow(z, mask, speaker)

    fold_weight_norm(voice)

    assert not any("parametrizations" in key for key in voice.state_dict())
    after = voice.generator(z, speaker), voice.flow(z, mask, speaker)
    for folded, unfolded in zip(after, before, strict=True):
        torch.testing.assert_close(folded, unfolded, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_preparing_a_copy_leaves_the_original_as_it_was() -> None:
    original = small_voice()
    z, _, speaker = _latent(8)
    before = original.generator(z, speaker)
    copy.deepcopy(original).prepare_for_inference(torch.bfloat16)
    assert torch.equal(original.generator(z, speaker), before)


@torch.inference_mode()
def test_channels_last_changes_no_output() -> None:
    z, _, speaker = _latent(20, batch=2)
    plain, flat = small_voice(), small_voice().prepare_for_inference()
    expected = plain.generator(z, speaker, [20, 11])
    torch.testing.assert_close(flat.generator(z, speaker, [20, 11]), expected, atol=1e-5, rtol=1e-5)


def test_the_layout_changes_only_after_folding() -> None:
    with pytest.raises(ValueError, match="fold weight norm"):
        small_voice().generator.use_channels_last()


@torch.inference_mode()
def test_a_voice_saved_under_published_names_loads_to_the_same_output(voice: Synthesizer) -> None:
    published = {key: value.clone() for key, value in to_upstream(voice.state_dict()).items()}
    loaded = Synthesizer(SMALL)
    loaded.load_state_dict(from_upstream(published))
    z, mask, speaker = _latent(12)
    lens = torch.tensor([12])
    assert torch.equal(
        loaded.eval().synthesize(z, lens, speaker), voice.synthesize(z, lens, speaker)
    )


@torch.inference_mode()
def test_speed_stretches_each_row_by_its_own_length() -> None:
    hidden, lens = torch.randn(3, 4, 20), torch.tensor([20, 12, 15])
    stretched, new_lens = change_speed(hidden, lens, [1.0, 0.5, 2.0])
    assert new_lens.tolist() == [20, 25, 8]
    assert torch.equal(stretched[0, :, :20], hidden[0])
    alone, _ = change_speed(hidden[1:2, :, :12], lens[1:2], [0.5])
    assert torch.equal(stretched[1], alone[0])


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_is_not_positive_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        change_speed(torch.zeros(1, 2, 3), torch.tensor([3]), [speed])


@torch.inference_mode()
def test_semantic_tokens_are_the_nearest_codebook_vectors(voice: Synthesizer) -> None:
    tokens = torch.randint(SMALL.codebook_size, (2, 9))
    near = voice.codebook.decode(tokens) + 1e-3 * torch.randn(2, SMALL.ssl_dim, 9)
    assert torch.equal(voice.codebook.encode(near), tokens)


@pytest.mark.parametrize("token", [-1, SMALL.codebook_size])
def test_a_token_outside_the_codebook_is_refused(voice: Synthesizer, token: int) -> None:
    with pytest.raises(ValueError, match=f"must lie in \\[0, {SMALL.codebook_size}\\)"):
        voice.codebook.decode(torch.tensor([[0, token]]))


@torch.inference_mode()
def test_several_clips_give_the_mean_of_their_embeddings(voice: Synthesizer) -> None:
    clips = [torch.rand(SMALL.spec_bins, num_frames) for num_frames in (150, 60, 90)]
    together = voice.speaker_embedding(clips)
    alone = torch.stack([voice.speaker_embedding([clip]) for clip in clips])
    torch.testing.assert_close(together, alone.mean(dim=0))


@pytest.mark.parametrize("specs", [[], [torch.rand(100, 5)], [torch.rand(SMALL.spec_bins, 0)]])
def test_unusable_reference_spectrograms_are_refused(
    voice: Synthesizer, specs: list[Tensor]
) -> None:
    with pytest.raises(ValueError, match="ref"):
        voice.speaker_embedding(specs)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_reference_spectrograms_that_are_not_finite_are_refused(
    voice: Synthesizer, value: float
) -> None:
    with pytest.raises(ValueError, match="not finite"):
        voice.speaker_embedding([torch.full((SMALL.spec_bins, 9), value)])


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.zeros(1, 10, 7), r"must be \(batch, frame, 40\)"),
        (torch.zeros(10, 40), r"must be \(batch, frame, 40\)"),
        (torch.zeros(1, 1, 40), "1 frames; a token needs at least 2"),
        (torch.full((1, 4, 40), float("nan")), "not finite"),
    ],
)
def test_unusable_ssl_features_are_refused(
    voice: Synthesizer, features: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        voice.extract_latent(features)


def test_slices_start_anywhere_they_fit_and_nowhere_else() -> None:
    lens = torch.tensor([32, 40, 100])
    assert draw_slice_starts(torch.zeros(3), lens, 32).tolist() == [0, 0, 0]
    assert draw_slice_starts(torch.full((3,), 1 - 1e-6), lens, 32).tolist() == [0, 8, 68]
    with pytest.raises(ValueError, match="31 frames"):
        draw_slice_starts(torch.zeros(1), torch.tensor([31]), 32)
