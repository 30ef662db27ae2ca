"""The speaker's weights: published pickles to safetensors, and what is refused."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.checkpoints.errors import CheckpointError
from models.zonos.speaker import ZonosSpeaker, convert_speaker, read_speaker
from models.zonos.speaker_network import SpeakerConfig

TINY = SpeakerConfig(width=4, num_blocks=(1, 1, 1, 1), embedding_dim=16, projected_dim=128)


@pytest.fixture
def speaker() -> ZonosSpeaker:
    torch.manual_seed(0)
    return ZonosSpeaker(TINY).eval()


def published(speaker: ZonosSpeaker, folder: Path) -> tuple[Path, Path]:
    files = folder / "network.pt", folder / "projection.pt"
    torch.save(OrderedDict(speaker.network.state_dict()), files[0])
    torch.save(OrderedDict(speaker.lda.state_dict()), files[1])
    return files


def clip() -> Tensor:
    return torch.sin(torch.arange(24_000) * 0.05) * 0.3


def test_converted_weights_embed_as_the_published_ones(
    speaker: ZonosSpeaker, tmp_path: Path
) -> None:
    convert_speaker(*published(speaker, tmp_path), tmp_path, TINY)

    embedding = read_speaker(tmp_path).embed(clip(), 24_000)

    assert embedding.shape == (128,)
    assert torch.equal(embedding, speaker.embed(clip(), 24_000))


def test_a_pickle_that_names_code_is_refused_and_not_run(
    speaker: ZonosSpeaker, tmp_path: Path
) -> None:
    network, projection = published(speaker, tmp_path)
    torch.save({"weight": Path("/tmp")}, projection)

    with pytest.raises(CheckpointError, match="refused and not run"):
        convert_speaker(network, projection, tmp_path, TINY)

    assert not (tmp_path / "speaker.json").exists()


def test_a_missing_weight_is_named(speaker: ZonosSpeaker, tmp_path: Path) -> None:
    network, projection = published(speaker, tmp_path)
    torch.save(OrderedDict(weight=speaker.lda.weight.detach()), projection)
    with pytest.raises(CheckpointError, match="lacks weights: lda.bias"):
        convert_speaker(network, projection, tmp_path, TINY)


def test_weights_of_another_size_are_refused(speaker: ZonosSpeaker, tmp_path: Path) -> None:
    files = published(speaker, tmp_path)
    other = SpeakerConfig(width=4, num_blocks=(1, 1, 1, 1), embedding_dim=8, projected_dim=128)
    with pytest.raises(CheckpointError, match="is not of shape"):
        convert_speaker(*files, tmp_path, other)


@pytest.mark.parametrize(
    "waveform", [torch.zeros(0), torch.zeros(100), torch.full((9000,), torch.inf)]
)
def test_a_clip_without_a_speaker_is_refused(speaker: ZonosSpeaker, waveform: Tensor) -> None:
    with pytest.raises(ValueError, match="speaker"):
        speaker.embed(waveform, 16_000)
