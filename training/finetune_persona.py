"""Fine-tunes an adapter that makes a language model answer in character, and publishes it.

    python -m training.finetune_persona --config training/configs/finetune_persona_small.yaml \\
        --persona training/persona/characters/bujang.json \\
        --data training/persona/data/bujang.jsonl --out RUN --root DIR
    python -m training.finetune_persona ... --local      one worker in this process, without Ray
    ray job submit --working-dir . -- python -m training.finetune_persona ...      on a cluster
    python -m training.finetune_persona --config … --dry-run config.json --gpu-gib 24

The same line goes on where the run stands, and publishes nothing twice; SIGTERM stops it after a
checkpoint. In RUN:

    checkpoints/                  what a run goes on from
    tensorboard/, metrics.jsonl
    best/, last/                  the adapter in full precision
    export/                       what is published: personas/<id>/<version> under the storage root,
                                  with training_lines.txt beside it, the lines of the rows

With `publishing.hub` in the configuration the version goes to a repository of a model hub as well;
the token is read from HF_TOKEN. A dry run builds the network of a base model's config.json without
its weights, and says what an update would take.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from models.assets import AssetError
from models.storage import open_store
from training.loops.persona.args import PersonaArgs
from training.loops.persona.estimate import estimate
from training.loops.persona.launch import Task, run_locally, run_on_ray
from training.loops.strict import ConfigError, read_config
from training.persona.character import Character
from training.persona.publication import publish, push_to_hub
from training.publishing.versions import PublishedVersion


def publish_run(task: Task, root: str, version: int | None = None) -> PublishedVersion:
    """Publish what a finished run exported.

    Raises:
        ConfigError: the run is not finished.
        ValueError: the version is taken, or the store can't be used.
    """
    if not task.is_done:
        raise ConfigError(f"{task.out} is not finished")
    store = open_store(root)
    return publish(task.args, task.character, task.material(), task.out / "export", store, version)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the command line says; return the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        args = read_config(given.config, PersonaArgs)
        if given.dry_run is not None:
            return _dry_run(args, given.dry_run, given.gpu_gib)
        for name in ("persona", "data", "out", "root"):
            if getattr(given, name) is None:
                parser.error(f"--{name} is needed to train")
        task = Task(
            args, Character.load(given.persona), given.data.absolute(), given.out.absolute()
        )
        is_finished = run_locally(task) if given.local else run_on_ray(task)
        if not is_finished:
            print("stopped; the same command goes on")
            return 0
        published = publish_run(task, _root(given.root), given.version)
        before = "" if published.is_new else ", which was published before"
        print(f"persona {published.record}{before}")
        if commit := push_to_hub(args, published):
            print(f"pushed: {commit}")
    except (ValueError, OSError, AssetError) as error:
        print(f"training.finetune_persona: {error}", file=sys.stderr)
        return 1
    return 0


def _dry_run(args: PersonaArgs, architecture: Path, gpu_gib: float) -> int:
    found = estimate(args, architecture)
    print(found)
    fits = found.total_gib <= gpu_gib
    print(f"{'fits' if fits else 'does not fit'} a GPU of {gpu_gib:g} GiB")
    return 0 if fits else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.finetune_persona",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument("--config", type=Path, required=True, help="YAML of the run")
    parser.add_argument("--persona", type=Path, help="the character's JSON")
    parser.add_argument("--data", type=Path, help="its rows, as JSONL")
    parser.add_argument("--out", type=Path, help="folder of the run")
    parser.add_argument("--root", help="storage root to publish to: a folder, or s3://…")
    parser.add_argument("--version", type=int, help="to publish; the next free one by default")
    parser.add_argument("--local", action="store_true", help="one worker here, without Ray")
    parser.add_argument("--dry-run", type=Path, help="config.json of the base model")
    parser.add_argument("--gpu-gib", type=float, default=24.0, help="that a dry run may fill")
    return parser


def _root(text: str) -> str:
    """An address as it is, a folder as an absolute one."""
    return text if "://" in text else str(Path(text).resolve())


if __name__ == "__main__":
    sys.exit(main())
