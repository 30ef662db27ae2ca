"""A clip to the 128 numbers that Zonos knows a speaker by, and the weights that do it.

convert_speaker(network_pt, projection_pt, folder)  # once
speaker = read_speaker(folder).embed(waveform, sample_rate)
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from models.audio.resample import resample
from models.checkpoints.archive import read_archive
from models.checkpoints.errors import CheckpointError
from models.checkpoints.files import read_json_object, read_tensors
from models.checkpoints.replacing import replacing
from models.zonos.speaker_mel import SAMPLE_RATE, log_mel
from models.zonos.speaker_network import SpeakerConfig, SpeakerNetwork

PUBLISHED = SpeakerConfig()
"""Sizes of the published weights."""

CONFIG_NAME = "speaker.json"
WEIGHTS_NAME = "speaker.safetensors"

_MAX_WEIGHT_BYTES = 2**30  # the published network has 0.4 GB


class ZonosSpeaker(nn.Module):
    """The network and its linear projection (LDA), as one set of weights."""

    def __init__(self, config: SpeakerConfig) -> None:
        super().__init__()
        self.network = SpeakerNetwork(config)
        self.lda = nn.Linear(config.embedding_dim, config.projected_dim)

    @torch.inference_mode()
    def embed(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """The speaker of a clip; 10 to 30 s of speech say more than less.

        Args:
            waveform: (samples,) mono.
            sample_rate: Hz.

        Returns:
            (128,) float32 of any length; it is not normalised.

        Raises:
            ValueError: the clip is empty, too short, or not finite.
        """
        if waveform.ndim != 1 or not waveform.isfinite().all():
            raise ValueError("a speaker is heard in (samples,) of finite sound")
        samples = resample(waveform.float(), sample_rate, SAMPLE_RATE)
        embedding: Tensor = self.lda(self.network(log_mel(samples.unsqueeze(0))))
        return embedding[0].clone()


def convert_speaker(
    network_file: Path, projection_file: Path, folder: Path, config: SpeakerConfig = PUBLISHED
) -> None:
    """Write the two published `.pt` files as `speaker.json` and `speaker.safetensors`.

    Nothing in them is run.

    Args:
        network_file: `ResNet293_SimAM_ASP_base.pt`.
        projection_file: `ResNet293_SimAM_ASP_base_LDA-128.pt`.
        folder: where to write.
        config: sizes of that network.

    Raises:
        CheckpointError: a file is missing or damaged, names code to be run, or its weights are not
            those of the network.
    """
    network = {f"network.{key}": value for key, value in read_archive(network_file).items()}
    projection = {f"lda.{key}": value for key, value in read_archive(projection_file).items()}
    state = _checked(network_file, {**network, **projection}, config)
    with replacing(folder / WEIGHTS_NAME) as partial:
        save_file(state, partial)
    with replacing(folder / CONFIG_NAME) as partial:
        partial.write_text(json.dumps(asdict(config)), encoding="utf-8")


def read_speaker(folder: Path) -> ZonosSpeaker:
    """The network that `convert_speaker` wrote, ready to use.

    Raises:
        CheckpointError: a file is missing or damaged, or the weights are not those of the network.
    """
    config = _read_config(folder / CONFIG_NAME)
    weights_path = folder / WEIGHTS_NAME
    state = _checked(weights_path, read_tensors(weights_path, _MAX_WEIGHT_BYTES), config)
    with torch.device("meta"):
        speaker = ZonosSpeaker(config)
    speaker.load_state_dict(state, strict=True, assign=True)
    return speaker.eval().requires_grad_(False)


def _read_config(path: Path) -> SpeakerConfig:
    try:
        return TypeAdapter(SpeakerConfig).validate_python(read_json_object(path))
    except ValidationError as error:
        raise CheckpointError(path, f"is no configuration: {error}") from error


def _checked(file: Path, state: dict[str, Tensor], config: SpeakerConfig) -> dict[str, Tensor]:
    """The state in float32, once its keys and shapes are known to be the network's."""
    with torch.device("meta"):
        expected = ZonosSpeaker(config).state_dict()
    if different := sorted(set(expected) ^ set(state)):
        what = "lacks" if different[0] in expected else "has unknown"
        raise CheckpointError(file, f"{what} weights: {', '.join(different[:5])}")
    checked = {}
    for key, tensor in state.items():
        if not isinstance(tensor, Tensor) or tensor.shape != expected[key].shape:
            raise CheckpointError(file, f"{key} is not of shape {tuple(expected[key].shape)}")
        if not tensor.isfinite().all():
            raise CheckpointError(file, f"{key} has values that are not finite")
        checked[key] = tensor.to(expected[key].dtype).contiguous()
    return checked
