"""The windowed-sinc resampler against the reference path's."""

import numpy as np
import pytest
import torch

from models.audio.resample import resample
from tests.parity.golden import GoldenFolder


@pytest.mark.parametrize(
    ("source", "from_hz", "to_hz", "expected"),
    [
        ("wav44k_stereo", 44_100, 16_000, "wav44k_resampled16k"),
        ("wav24k", 24_000, 16_000, "wav24k_resampled16k"),
        ("wav24k", 24_000, 44_100, "resample_24k_to_44k1"),
    ],
)
def test_resampling_equals_the_reference(
    source: str, from_hz: int, to_hz: int, expected: str
) -> None:
    golden = GoldenFolder("zonos").arrays("speaker.npz")
    mono = torch.from_numpy(golden[source]).mean(dim=0, keepdim=True)

    out = resample(mono, from_hz, to_hz).numpy()

    assert out.shape == golden[expected].shape
    assert np.abs(out - golden[expected]).max() <= 1e-5 * np.abs(golden[expected]).max()
