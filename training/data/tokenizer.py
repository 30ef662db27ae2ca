"""Features to semantic tokens: with the codebook of a checkpoint, or one fitted to the corpus."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.checkpoints.checkpoint import Kind
from models.checkpoints.native import read_native
from models.checkpoints.replacing import replacing
from models.gpt_sovits.published import SslName
from models.gpt_sovits.s2.quantizer import Codebook
from models.ssl import kmeans
from training.data.config import FitTokens
from training.data.prepared import LayoutSource, ParquetSource
from training.loops.strict import ConfigError

_DIMS: dict[SslName, int] = {"whisper-base": 512, "hubert-base": 768}
_PREFIXES = ("ssl_proj.", "codebook.")


class Tokenizer(nn.Module):
    """The part of an S2 voice that makes tokens, under the names `Synthesizer` has for it."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        codebook_size, dim = state["codebook.embed"].shape
        self.ssl_proj = nn.Conv1d(dim, dim, 2, stride=2)
        self.codebook = Codebook(codebook_size, dim)
        self.load_state_dict(state)

    @classmethod
    def read(cls, path: Path) -> Tokenizer:
        """Read `tokenizer.safetensors`."""
        return cls(load_file(path))

    @property
    def dim(self) -> int:
        return self.ssl_proj.in_channels

    @property
    def codebook_size(self) -> int:
        return len(self.codebook.embed)

    def save(self, path: Path) -> None:
        """Write the tensors under their names; the file appears whole."""
        with replacing(path) as partial:
            save_file(self.state_dict(), partial)

    @torch.no_grad()
    def tokens(self, ssl_features: Tensor) -> Tensor:
        """(frame, dim) at 50 Hz -> (frame // 2,) int64 at 25 Hz; equal to `extract_latent`."""
        projected = self.ssl_proj(ssl_features.t().unsqueeze(0))
        return self.codebook.encode(projected)[0]


def state_of_checkpoint(path: Path, encoder: SslName) -> dict[str, Tensor]:
    """The quantiser of an S2 checkpoint in our own format.

    Raises:
        ConfigError: it is a checkpoint of another network, or of another encoder's features.
        CheckpointError: it can't be read.
    """
    checkpoint = read_native(path)
    if checkpoint.kind != Kind.S2:
        raise ConfigError(f"{path} is a {checkpoint.kind.value}; tokens are made by S2")
    state = {
        name: tensor.float()
        for name, tensor in checkpoint.state.items()
        if name.startswith(_PREFIXES)
    }
    if (dim := state["codebook.embed"].shape[1]) != _DIMS[encoder]:
        raise ConfigError(
            f"{path} needs features of {dim} channels; {encoder} has {_DIMS[encoder]}"
        )
    return state


def fit_state(
    clips: list[tuple[int, LayoutSource | ParquetSource]], settings: FitTokens
) -> dict[str, Tensor]:
    """Fit a codebook on clips drawn until `max_vectors` are together.

    Args:
        clips: frames of each clip, and where its features are.
        settings: size and seed.

    Raises:
        ConfigError: the corpus has fewer averaged frames than centres.
    """
    order = list(range(len(clips)))
    random.Random(settings.seed).shuffle(order)
    vectors: list[Tensor] = []
    num_vectors = 0
    for idx in order:
        num_frames, source = clips[idx]
        if num_vectors + num_frames // 2 > settings.max_vectors and vectors:
            break
        vectors.append(kmeans.average_pairs(source.ssl_features().float()))
        num_vectors += len(vectors[-1])
    if num_vectors < settings.num_centres:
        raise ConfigError(
            f"the corpus gives {num_vectors} vectors for {settings.num_centres} centres; "
            "add recordings or ask for fewer"
        )
    fitted = kmeans.fit(
        torch.cat(vectors), settings.num_centres, settings.seed, settings.num_iterations
    )
    return fitted.quantizer_state()
