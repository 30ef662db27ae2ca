"""Convert a GPT-SoVITS v2 checkpoint to our format, or back.

    python -m models.convert voice-e15.ckpt voice_s1.json      # upstream to ours
    python -m models.convert voice_s1.json voice.ckpt          # ours to upstream
    python -m models.convert G_2333.pth small.json --config small_s2.json

The direction follows from which name ends in ``.json``. Nothing is lost: weights keep their bits
and precision, and configuration, counters and optimizer state are kept too.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from models.checkpoints import (
    Checkpoint,
    CheckpointError,
    read_native,
    read_upstream,
    write_native,
    write_upstream,
)
from models.checkpoints.checkpoint import config_from_json
from models.gpt_sovits.s2.config import S2Config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when converted, 1 with a message when the input cannot be used."""
    args = _parser().parse_args(arguments)
    try:
        checkpoint = convert(args.source, args.target, args.config)
    except (CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    num_weights = sum(tensor.numel() for tensor in checkpoint.state.values())
    print(f"{args.target}: {checkpoint.kind.value}, {num_weights:,} weights")
    return 0


def convert(source: Path, target: Path, config_path: Path | None = None) -> Checkpoint:
    """Read ``source`` in the one format and write ``target`` in the other.

    Args:
        config_path: sizes of a small voice's training file, our field names in a JSON object.

    Raises:
        CheckpointError: the source cannot be used, or holds what our format cannot keep; or the
            names do not say which way to convert.
        OSError: the target cannot be written. It is then what it was.
    """
    if target.suffix == ".safetensors":
        raise CheckpointError(target, "is the name of weights; give the .json name beside it")
    if (source.suffix == ".json") == (target.suffix == ".json"):
        raise CheckpointError(target, "exactly one of the two names must end in .json")
    if source.suffix == ".json":
        checkpoint = read_native(source)
        write_upstream(target, checkpoint)
    else:
        config = _read_s2_config(config_path) if config_path else None
        checkpoint = read_upstream(source, config)
        try:
            write_native(target, checkpoint)
        except ValueError as error:
            raise CheckpointError(source, str(error)) from error
    return checkpoint


def _read_s2_config(path: Path) -> S2Config:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, f"is not JSON: {error}") from error
    return config_from_json(path, S2Config, values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.convert", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument(
        "--config",
        type=Path,
        help="sizes of an S2 training file (G_*.pth) that is not full size",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
