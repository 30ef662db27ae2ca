"""The speaker network, stage by stage, against the reference's."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.zonos.speaker_mel import log_mel
from models.zonos.speaker_network import SpeakerConfig, SpeakerNetwork
from tests.parity.zonos.comparison import relative_error
from tests.parity.zonos.fill import GOLDEN, zonos_filler_for

TOLERANCE = 1e-5
# The vectors of the full size were made with convolutions of a quarter: as filled, it overflows.
FULL_SIZE_GAIN = 0.25


def golden(name: str) -> np.ndarray:
    return GOLDEN.arrays("speaker.npz")[name]


def networks(keys_file: str, config: SpeakerConfig) -> tuple[SpeakerNetwork, nn.Linear]:
    filler = zonos_filler_for("speaker.npz")
    state = filler.state(GOLDEN.json(keys_file)["tensors"])
    network = SpeakerNetwork(config).eval()
    network.load_state_dict({k: v for k, v in state.items() if not k.startswith("lda.")})
    projection = nn.Linear(config.embedding_dim, config.projected_dim)
    filled = filler.state({f"lda.{k}": tuple(v.shape) for k, v in projection.state_dict().items()})
    projection.load_state_dict({key.removeprefix("lda."): filled[key] for key in filled})
    return network, projection


@cache
def tiny() -> tuple[SpeakerNetwork, nn.Linear]:
    keys = GOLDEN.json("keys_speaker_tiny.json")
    config = SpeakerConfig(
        keys["in_planes"], tuple(keys["blocks"]), keys["embd_dim"], keys["lda_out"]
    )
    return networks("keys_speaker_tiny.json", config)


def mels() -> Tensor:
    return torch.from_numpy(golden("logmel"))


def test_log_mel_equals_the_references() -> None:
    assert relative_error(log_mel(torch.from_numpy(golden("wav16k"))), golden("logmel")) < TOLERANCE


@torch.no_grad()
def test_the_stages_of_a_small_network_equal_the_references() -> None:
    network, projection = tiny()
    front = network.front
    first = front.layer1(torch.relu(front.bn1(front.conv1(mels().unsqueeze(1)))))
    last = front(mels().unsqueeze(1))
    pooled = network.pooling(last.flatten(1, 2))
    embedding = network(mels())

    assert relative_error(first[:, :, ::8, ::8], golden("tiny.layer1")) < TOLERANCE
    assert relative_error(last, golden("tiny.layer4")) < TOLERANCE
    assert relative_error(pooled, golden("tiny.pooling")) < TOLERANCE
    assert relative_error(embedding, golden("tiny.embedding")) < TOLERANCE
    assert relative_error(projection(embedding), golden("tiny.lda")) < TOLERANCE


@pytest.mark.slow
@torch.no_grad()
def test_the_published_size_equals_the_reference() -> None:
    network, projection = networks("keys_speaker_full.json", SpeakerConfig())
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.mul_(FULL_SIZE_GAIN)

    embedding = network(mels())

    assert relative_error(embedding, golden("full.embedding")) < TOLERANCE
    assert relative_error(projection(embedding), golden("full.lda")) < TOLERANCE
