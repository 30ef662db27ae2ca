import pytest
import torch
from torch import Tensor

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.ssl.kmeans import average_pairs, fit

_DIM, _CENTRES = 16, 32


@pytest.fixture(scope="module")
def features() -> Tensor:
    """(frame, dim) with channels of very different mean and spread, as SSL features have."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(-2, 1, _DIM)
    return torch.randn(2_001, _DIM, generator=generator) * spread + torch.arange(_DIM)


def test_a_voice_with_the_fitted_quantizer_gives_the_nearest_centres(features: Tensor) -> None:
    fitted = fit(average_pairs(features), _CENTRES, seed=1)
    voice = Synthesizer(S2Config(ssl_dim=_DIM, codebook_size=_CENTRES, upsample_channels=32))
    state = voice.state_dict()
    new = fitted.quantizer_state()
    assert {key: value.shape for key, value in new.items()} == {
        key: value.shape
        for key, value in state.items()
        if key.startswith(("ssl_proj.", "codebook."))
    }
    voice.load_state_dict(state | new)

    pooled = (features[:-1:2] + features[1::2]) / 2
    standardized = (pooled - pooled.mean(0)) / pooled.std(0, correction=0)
    expected = torch.cdist(standardized, fitted.centres).argmin(dim=1)
    assert torch.equal(voice.extract_latent(features[None])[0], expected)


def test_the_same_vectors_and_seed_give_the_same_centres(features: Tensor) -> None:
    first, second = (fit(average_pairs(features), _CENTRES, seed=3) for _ in range(2))
    assert torch.equal(first.centres, second.centres)
    assert not torch.equal(first.centres, fit(average_pairs(features), _CENTRES, seed=4).centres)


def test_each_centre_is_the_mean_of_the_vectors_nearest_to_it(features: Tensor) -> None:
    vectors = average_pairs(features)
    fitted = fit(vectors, 8, seed=0, num_iterations=200)
    standardized = (vectors - vectors.mean(0)) / vectors.std(0, correction=0)
    nearest = torch.cdist(standardized, fitted.centres).argmin(dim=1)
    means = torch.stack([standardized[nearest == centre].mean(0) for centre in range(8)])
    torch.testing.assert_close(fitted.centres, means, atol=1e-5, rtol=1e-4)
    assert torch.equal(fitted.counts, nearest.bincount(minlength=8))


def test_every_centre_is_used_though_the_first_ones_coincide() -> None:
    vectors = torch.cat([torch.zeros(95, 3), torch.eye(3), -torch.eye(3)[:2]])
    assert int(fit(vectors, 6, seed=0).counts.min()) > 0


def test_a_channel_that_never_changes_does_no_harm(features: Tensor) -> None:
    constant = features.clone()
    constant[:, 0] = 2.0
    state = fit(average_pairs(constant), 4, seed=0).quantizer_state()
    assert all(bool(tensor.isfinite().all()) for tensor in state.values())


def test_more_centres_than_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="5 centres asked of 4 vectors"):
        fit(torch.randn(4, 2), 5, seed=0)


def test_vectors_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        fit(torch.full((4, 2), torch.nan), 2, seed=0)
