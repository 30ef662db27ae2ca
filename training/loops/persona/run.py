"""One run on one worker: from rows to an adapter. Works with Ray around it, and without.

RUN/checkpoints/checkpoint-N    what a run goes on from
RUN/tensorboard/, metrics.jsonl
RUN/best/, last/                adapter_model.safetensors + adapter_config.json, in float32
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets  # type: ignore[import-untyped]
from datasets import Dataset
from peft import PeftModel
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerBase, PrinterCallback
from transformers.utils import logging as transformers_logging

from models.checkpoints.replacing import replacing
from models.persona.persona import Persona
from training.loops.journal import Journal
from training.loops.persona.args import PersonaArgs
from training.loops.persona.base import Base
from training.loops.persona.examples import Collator, Example, make_examples
from training.loops.persona.trainer import LineTrainer, Watcher, lora_config, sft_config
from training.loops.world import World
from training.persona.character import Character, instruction_of
from training.persona.rows import Row, load_rows
from training.persona.selection import Split, split_rows, without_repeats

WEIGHTS_NAME = "adapter_model.safetensors"
CONFIG_NAME = "adapter_config.json"
_BEST_NAME = "best.json"
# Written last by the trainer: a checkpoint without it was cut off.
_CHECKPOINT_END = "trainer_state.json"

# A changed rate would be ignored, which a checkpoint has with it; the rest makes another adapter.
# Work may be shared out otherwise at any time: batch_size, accumulate, num_workers.
_LASTING_ARGS = (
    "base_model",
    "base_revision",
    "precision",
    "lora",
    "data",
    "lr",
    "weight_decay",
    "seed",
)

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Material:
    """What a run learns from: the persona without its adapter, and the rows of both sides."""

    persona: Persona
    rows: tuple[Row, ...]
    split: Split

    @classmethod
    def read(cls, args: PersonaArgs, character: Character, data: Path) -> Material:
        """Read and check the rows of a file.

        Raises:
            RowsError: some are bad; says which, and why.
            ConfigError: they have several instructions.
            OSError: the file can't be read.
        """
        rows = tuple(load_rows(data))
        split = split_rows(
            without_repeats(rows), held_out_share=args.data.held_out_share, seed=args.data.seed
        )
        persona = character.persona(
            base_model=args.base_model, instruction=instruction_of(rows), licence="unpublished"
        )
        return cls(persona, rows, split)

    def facts(self, args: PersonaArgs) -> dict[str, Any]:
        """What a run is of, from its first update to its publication.

        Of the character that is what training reads; how its lines are drawn and shown may be tuned
        afterwards.
        """
        written = json.dumps([asdict(row) for row in self.rows], ensure_ascii=False)
        digest = hashlib.sha256(written.encode()).hexdigest()[:16]
        settings = args.model_dump(mode="json")
        return {
            "persona_id": self.persona.persona_id,
            "template": asdict(self.persona.template),
            "rows": f"{len(self.rows)} of sha256 {digest}",
            **{name: settings[name] for name in _LASTING_ARGS},
        }

    def examples(
        self, args: PersonaArgs, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[list[Example], list[Example]]:
        """Token ids to train on, and those held out."""
        make = partial(make_examples, tokenizer, self.persona)
        return make(self.split.train, args.max_tokens), make(self.split.held_out, args.max_tokens)


def fine_tune(
    args: PersonaArgs,
    material: Material,
    base: Base,
    out: Path,
    world: World,
    should_stop: Callable[[], bool],
    report: Report | None = None,
) -> bool:
    """Train from where the run stands; True when it is finished, False when it was stopped.

    Args:
        report: called by every worker after each validation.

    Raises:
        ConfigError: a row is too long, or the base model has none of the target modules.
    """
    _quieten()
    checkpoints = out / "checkpoints"
    resumed = newest_checkpoint(checkpoints)
    if world.is_first:
        _drop_unfinished(checkpoints)
    tokenizer = base.tokenizer()
    train, held_out = (
        Dataset.from_list([example.to_item() for example in examples])
        for examples in material.examples(args, tokenizer)
    )
    trainer = LineTrainer(
        model=base.model(args.precision, args.compute_dtype, world.device),
        args=sft_config(args, checkpoints, is_new=resumed is None),
        train_dataset=train,
        eval_dataset=held_out,
        processing_class=tokenizer,
        data_collator=Collator(int(tokenizer.pad_token_id)),
        peft_config=lora_config(args),
    )
    trainer.remove_callback(PrinterCallback)
    journal = None
    if world.is_first:
        first = 0 if resumed is None else _number(resumed)
        journal = Journal(out, first, args.log_every_updates, num_updates(args, len(train)))
    adapted = trainer.model
    assert isinstance(adapted, PeftModel)  # made of peft_config
    keeper = _Keeper(out, adapted, world)
    watcher = Watcher(
        journal,
        partial(_validated, keeper, report),
        lambda: world.agree(should_stop()),
    )
    trainer.add_callback(watcher)
    try:
        trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
        if watcher.was_stopped:
            return False
    finally:
        if journal is not None:
            journal.close()
    keeper.save("last")
    return True


class _Keeper:
    """Writes the adapter as it is; the best one so far has the least loss of held-out lines."""

    def __init__(self, out: Path, model: PeftModel, world: World) -> None:
        self._out = out
        self._model = model
        self._is_first = world.is_first
        best = read_best(out)
        self._least_loss = float("inf") if best is None else best["loss"]

    def validated(self, update: int, loss: float) -> None:
        if update > 0 and loss < self._least_loss:
            self._least_loss = loss
            self.save("best")
            if self._is_first:
                with replacing(self._out / _BEST_NAME) as partial_path:
                    partial_path.write_text(json.dumps({"update": update, "loss": loss}) + "\n")

    def save(self, name: str) -> None:
        if not self._is_first:
            return
        folder = self._out / name
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            key: tensor.detach().float().cpu().contiguous()
            for key, tensor in get_peft_model_state_dict(self._model).items()
        }
        with replacing(folder / WEIGHTS_NAME) as partial_path:
            save_file(state, partial_path, metadata={"format": "pt"})
        with replacing(folder / CONFIG_NAME) as partial_path:
            partial_path.write_text(json.dumps(_config_of(self._model), indent=1) + "\n")


def read_best(out: Path) -> dict[str, Any] | None:
    """Update and held-out loss of a run's best adapter; None before the first validation."""
    path = out / _BEST_NAME
    if not path.exists():
        return None
    best: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return best


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written whole."""
    return max(filter(_is_whole, _checkpoints(folder)), key=_number, default=None)


def _drop_unfinished(folder: Path) -> None:
    for path in _checkpoints(folder):
        if not _is_whole(path):
            shutil.rmtree(path)


def _is_whole(checkpoint: Path) -> bool:
    """Whether its last file is there to its end: the trainer does not write it at one stroke."""
    try:
        json.loads((checkpoint / _CHECKPOINT_END).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if path.name[11:].isdecimal()]


def _number(path: Path) -> int:
    return int(path.name[11:])


def _validated(keeper: _Keeper, report: Report | None, update: int, loss: float) -> None:
    keeper.validated(update, loss)
    if report is not None:
        report({"update": float(update), "held_out_loss": loss})


def num_updates(args: PersonaArgs, num_rows: int) -> int:
    """Of a whole run."""
    batches = math.ceil(num_rows / (args.batch_size * args.num_workers))
    planned = args.epochs * math.ceil(batches / args.accumulate)
    return planned if args.max_updates is None else args.max_updates


def _config_of(model: PeftModel) -> dict[str, Any]:
    config = model.peft_config["default"].to_dict()
    modules = sorted(config["target_modules"])
    return {**config, "target_modules": modules, "inference_mode": True}


def _quieten() -> None:
    """The journal has a bar of its own."""
    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()
