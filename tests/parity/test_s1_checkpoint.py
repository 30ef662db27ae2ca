"""A full-size S1 checkpoint, as published, through every format to the reference's logits."""

from pathlib import Path

import pytest
import torch

from models.checkpoints import load_s1
from models.convert import convert
from models.gpt_sovits.s1.upstream_keys import to_upstream
from tests.parity.s1_reference import GOLDEN, network_for

FILE_NAME = "s1_full_infer.npz"


@pytest.mark.slow
def test_a_published_file_becomes_the_network_it_was_saved_from(tmp_path: Path) -> None:
    network = network_for("full", FILE_NAME)
    weights = {
        f"model.{key}": tensor.detach().half()
        for key, tensor in to_upstream(network.state_dict()).items()
    }
    content = {"weight": weights, "config": GOLDEN.json("config_s1_full.json"), "info": "GPT-e15"}
    published, native, again = (
        tmp_path / name for name in ("voice-e15.ckpt", "voice.json", "again.ckpt")
    )
    torch.save(content, published)
    convert(published, native)
    convert(native, again)
    for path in (published, native, again):
        for key, tensor in to_upstream(load_s1(path).state_dict()).items():
            assert torch.equal(tensor, weights[f"model.{key}"].float())
