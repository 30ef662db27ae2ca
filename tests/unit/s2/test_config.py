from typing import Any

import pytest

from models.gpt_sovits.s2.config import S2Config


def test_upstream_sections_without_entries_give_the_published_voice() -> None:
    assert S2Config.from_upstream({}) == S2Config()


def test_upstream_names_become_ours() -> None:
    config = S2Config.from_upstream(
        {"inter_channels": 96, "gin_channels": 256, "resblock_dilation_sizes": [[1, 3]] * 3},
        {"filter_length": 1600},
        ssl_dim=512,
    )
    assert config == S2Config(
        latent_channels=96,
        speaker_dim=256,
        mrte_channels=256,
        resblock_dilations=((1, 3),) * 3,
        n_fft=1600,
        ssl_dim=512,
    )


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"hop_length": 320}, "hop_length is 320"),
        ({"upsample_kernel_sizes": (16, 16, 8, 2)}, "one entry per upsample rate"),
        ({"upsample_kernel_sizes": (16, 15, 8, 2, 2)}, "upsample kernel is 15"),
        ({"upsample_channels": 48}, "upsample_channels is 48"),
        ({"wavenet_kernel_size": 4}, "wavenet_kernel_size is 4; it must be odd"),
        ({"resblock_kernel_sizes": (3, 7)}, "one entry per residual kernel"),
        ({"hidden_channels": 193}, "hidden_channels is 193"),
        ({"latent_channels": 191}, "latent_channels is 191"),
        ({"speaker_dim": 256}, "equal to speaker_dim 256"),
        ({"reference_bins": 2000}, "reference_bins is 2000"),
        ({"num_layers": 1}, "num_layers is 1"),
        ({"num_heads": 0}, "num_heads is 0; it must be made of positive integers"),
        ({"hidden_channels": "192"}, "hidden_channels is 192"),
        ({"upsample_rates": ()}, r"upsample_rates is \(\)"),
        ({"latent_channels": 2.0}, r"latent_channels is 2\.0"),
        ({"resblock_dilations": ((1, -3), (1, 3), (1, 3))}, "resblock_dilations is -3"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_by_name(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        S2Config(**sizes)


@pytest.mark.parametrize("model", [{"resblock": "2"}, {"semantic_frame_rate": "50hz"}])
def test_upstream_variants_that_v2_lacks_are_refused(model: dict[str, str]) -> None:
    (name,) = model
    with pytest.raises(ValueError, match=name):
        S2Config.from_upstream(model)
