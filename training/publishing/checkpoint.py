"""The files of a published checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from models.checkpoints import Checkpoint, CheckpointError, read_checkpoint, write_native
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.storage import ObjectStore
from training.loops.export import for_serving
from training.publishing.config import CheckpointArgs

FILES = ("s1.json", "s1.safetensors", "s2.json", "s2.safetensors")


@dataclass(frozen=True)
class ServedWeights:
    """What will be served: the files, and the S2 they hold, which references are encoded with."""

    files: dict[str, bytes]
    synthesizer: Synthesizer
    num_parameters: int

    @property
    def num_bytes(self) -> int:
        return sum(map(len, self.files.values()))


def prepare(args: CheckpointArgs) -> ServedWeights:
    """Read the weights, leave out what only training needs, and round them if asked.

    Raises:
        CheckpointError: a file can't be used, or S1 and S2 do not belong together.
    """
    s1 = _served(args.s1, args.precision)
    s2 = _served(args.s2, args.precision)
    with TemporaryDirectory() as folder:
        write_native(Path(folder) / "s1.json", s1)
        write_native(Path(folder) / "s2.json", s2)
        files = {name: (Path(folder) / name).read_bytes() for name in FILES}
        weights = _opened(Path(folder), files)
    return weights


def stored(store: ObjectStore, name: str, version: str) -> ServedWeights:
    """The weights of a checkpoint that was published before.

    Raises:
        models.storage.ObjectNotFound: a file is missing.
        CheckpointError: one can't be used.
    """
    files = {file: store.read(f"checkpoints/{name}/{version}/{file}") for file in FILES}
    with TemporaryDirectory() as folder:
        for file, content in files.items():
            (Path(folder) / file).write_bytes(content)
        return _opened(Path(folder), files)


def _opened(folder: Path, files: dict[str, bytes]) -> ServedWeights:
    """Read back what will be served: references must be encoded with exactly that."""
    decoder = read_checkpoint(folder / "s1.json").build()
    synthesizer = read_checkpoint(folder / "s2.json").build()
    if not isinstance(decoder, Text2Semantic):
        raise CheckpointError(folder / "s1.json", "is no S1 checkpoint")
    if not isinstance(synthesizer, Synthesizer):
        raise CheckpointError(folder / "s2.json", "is no S2 checkpoint")
    given, taken = decoder.config.num_semantic_tokens, synthesizer.config.codebook_size
    if given != taken:
        raise CheckpointError(
            folder / "s1.json", f"S1 speaks {given} semantic tokens, S2 has {taken}"
        )
    parameters = [*decoder.parameters(), *synthesizer.parameters()]
    return ServedWeights(files, synthesizer, sum(p.numel() for p in parameters))


def _served(path: Path, precision: str) -> Checkpoint:
    checkpoint = for_serving(read_checkpoint(path), precision)
    # What else an upstream file held (paths of its training, an optimizer) is nobody's business.
    return Checkpoint(checkpoint.kind, checkpoint.config, checkpoint.state)
