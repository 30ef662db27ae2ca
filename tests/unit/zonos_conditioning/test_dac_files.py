"""Files of the codec: read as written, refused when they are not the codec Zonos speaks with."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoints.errors import CheckpointError
from models.zonos.dac import Dac, DacSizes, empty_dac, read_dac, write_dac

TINY = DacSizes(encoder_hidden_size=2, hidden_size=32, decoder_hidden_size=16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    write_dac(tmp_path, empty_dac(TINY))
    return tmp_path


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_codec_is_read_as_it_was_written(tmp_path: Path) -> None:
    dac = empty_dac(TINY)
    write_dac(tmp_path, dac)
    codes = torch.randint(0, 1024, (1, 4, 9))
    assert torch.equal(read_dac(tmp_path).decode(codes), dac.decode(codes))


def test_a_codec_of_another_rate_is_refused(folder: Path) -> None:
    change_config(folder, sampling_rate=16_000)
    with pytest.raises(CheckpointError, match="sampling_rate is 16000, not 44100"):
        read_dac(folder)


def test_a_size_beyond_reason_is_refused(folder: Path) -> None:
    change_config(folder, decoder_hidden_size=10**9)
    with pytest.raises(CheckpointError, match="decoder_hidden_size is 1000000000"):
        read_dac(folder)


def test_a_missing_weight_is_named(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["decoder.conv1.bias"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="lacks weights: decoder.conv1.bias"):
        read_dac(folder)


@pytest.mark.parametrize(
    "codes", [torch.zeros(1, 4, 8).long(), torch.full((1, 4, 9), 1024), torch.zeros(1, 0, 9).long()]
)
def test_codes_out_of_range_are_refused(codes: torch.Tensor) -> None:
    dac: Dac = empty_dac(TINY)
    with pytest.raises(ValueError, match="codes must"):
        dac.decode(codes)
