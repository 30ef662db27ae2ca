"""The codec against the reference's, and in windows against itself as a whole."""

from copy import deepcopy
from functools import cache

import pytest
import torch
from torch import Tensor

from models.zonos.codes import SAMPLES_PER_FRAME
from models.zonos.dac import Dac, DacSizes, empty_dac
from models.zonos.windows import next_window
from tests.parity.zonos.comparison import relative_error
from tests.parity.zonos.fill import GOLDEN, zonos_filler_for

TOLERANCE = 1e-5


@cache
def tiny() -> Dac:
    keys = GOLDEN.json("keys_dac.json")["tiny"]
    sizes = {k: v for k, v in keys["config"].items() if k != "sampling_rate"}
    dac = empty_dac(DacSizes(**sizes))
    dac.model.load_state_dict(zonos_filler_for("dac_tiny.npz").state(keys["tensors"]), strict=True)
    return dac


def golden(name: str) -> Tensor:
    return torch.from_numpy(GOLDEN.arrays("dac_tiny.npz")[name])


def test_codes_become_the_references_sound() -> None:
    latent = tiny().model.quantizer.from_codes(golden("codes"))[0]
    waveform = tiny().decode(golden("codes").mT)
    assert relative_error(latent, golden("quantized").numpy()) < TOLERANCE
    assert relative_error(waveform, golden("audio").numpy()) < TOLERANCE


def test_sound_becomes_the_references_codes() -> None:
    codes = tiny().encode(golden("enc_wav")[0])
    assert codes.T.tolist() == golden("enc_codes")[0].tolist()


def test_the_published_size_has_the_references_keys() -> None:
    tensors = GOLDEN.json("keys_dac.json")["full"]["tensors"]
    with torch.device("meta"):
        state = empty_dac(DacSizes()).model.state_dict()
    assert {key: list(tensor.shape) for key, tensor in state.items()} == tensors


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, TOLERANCE)]
)
def test_windows_joined_are_the_whole(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    dac = Dac(deepcopy(tiny().model).to(dtype))
    codes = torch.randint(0, 1024, (1, 300, 9))
    (whole,) = dac.model.decode(audio_codes=codes.mT).audio_values
    parts = []
    num_decoded = 0
    while window := next_window(num_decoded, codes.shape[1], True, num_decoded == 0):
        decoded = dac.model.decode(audio_codes=codes[:, window.first : window.last].mT)
        offset = (window.start - window.first) * SAMPLES_PER_FRAME
        num_samples = (window.stop - window.start) * SAMPLES_PER_FRAME
        parts.append(decoded.audio_values[0, offset : offset + num_samples])
        num_decoded = window.stop
    joined = torch.cat(parts)

    assert len(parts) > 2
    assert float((joined - whole).abs().max() / whole.abs().max()) <= tolerance
