"""Checkpoints of GPT-SoVITS v2: the published files, and the format we store and serve.

    checkpoint = read_checkpoint(Path("voice.ckpt"))   # or .pth, or our .json
    network = checkpoint.build()

Whatever a third party made is read without running it (``archive``), compared key by key and shape
by shape with the network its configuration describes, and kept in safetensors (``native``).
"""

from pathlib import Path

from models.checkpoints.checkpoint import Checkpoint, Config, DiscriminatorConfig, Kind
from models.checkpoints.errors import CheckpointError, UnsupportedVersionError
from models.checkpoints.native import read_native, write_native
from models.checkpoints.upstream import read_upstream, write_upstream
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s2.synthesizer import Synthesizer

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Config",
    "DiscriminatorConfig",
    "Kind",
    "UnsupportedVersionError",
    "load_s1",
    "load_s2",
    "read_checkpoint",
    "read_native",
    "read_upstream",
    "write_native",
    "write_upstream",
]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read our format by its ``.json``, anything else as an upstream file.

    Raises:
        CheckpointError: see ``read_native`` and ``read_upstream``.
    """
    return read_native(path) if path.suffix == ".json" else read_upstream(path)


def load_s1(path: Path) -> Text2Semantic:
    """The S1 network of a checkpoint, float32 on the CPU, in eval mode.

    Raises:
        CheckpointError: the file cannot be used, or is not of S1.
    """
    network = read_checkpoint(path).build()
    if not isinstance(network, Text2Semantic):
        raise CheckpointError(path, f"is not an S1 checkpoint but one of {type(network).__name__}")
    return network


def load_s2(path: Path) -> Synthesizer:
    """The S2 networks of a checkpoint, float32 on the CPU, in eval mode.

    Raises:
        CheckpointError: the file cannot be used, or is not of S2.
    """
    network = read_checkpoint(path).build()
    if not isinstance(network, Synthesizer):
        raise CheckpointError(path, f"is not an S2 checkpoint but one of {type(network).__name__}")
    return network
