"""The loop around a stage's updates: order, journal, checkpoints, validation, the end.

``train`` knows nothing of Ray. What differs between S1 and S2 stands behind ``Stage``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.checkpoints import Checkpoint
from training.loops.args import RunArgs
from training.loops.export import export, write_weights
from training.loops.journal import Journal
from training.loops.run_checkpoints import RunCheckpoints
from training.loops.sampler import Draw, EpochSampler, Position
from training.loops.seeds import seed_update
from training.loops.world import World

Batch = TypeVar("Batch")
Made = TypeVar("Made", covariant=True)


@dataclass(frozen=True)
class Update:
    """What an update did: losses as this worker's share, and values all workers agree on."""

    losses: dict[str, Tensor]
    others: dict[str, float]


class Data(Protocol[Made]):
    """The training clips of a stage."""

    @property
    def sampler(self) -> EpochSampler:
        """The order they come in."""
        ...

    def collate(self, draws: list[Draw]) -> Made:
        """This worker's rows of a batch. Called in loader processes."""
        ...


class Stage(Protocol[Batch]):
    """Networks, data and losses of S1 or S2."""

    @property
    def data(self) -> Data[Batch]:
        """What it learns from."""
        ...

    def update(self, batches: list[Batch], update: int, epoch: int) -> Update:
        """Learn from some batches."""
        ...

    def validate(self, journal: Journal, update: int) -> dict[str, float]:
        """Measure held-out clips; the entry ``better_below`` is what the best weights minimise."""
        ...

    def weights(self) -> dict[str, Checkpoint]:
        """What fine-tuning starts from and publishing reads, by file name."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo ``state_dict``."""
        ...


class _Draws(Dataset[Draw]):
    """Hands on what was drawn: clips are read when a batch is put together."""

    def __getitem__(self, draw: Draw) -> Draw:
        return draw


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    update: int = 0
    """Updates made."""
    position: Position = Position()
    best: float = float("inf")
    num_worse: int = 0
    """Validations since the best."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        place = {"epoch": self.position.epoch, "batch": self.position.batch}
        return {"update": self.update, "best": self.best, "num_worse": self.num_worse, **place}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Progress:
        """Undo ``to_json``."""
        position = Position(values["epoch"], values["batch"])
        return cls(values["update"], position, values["best"], values["num_worse"])


def train(
    stage: Stage[Batch],
    args: RunArgs,
    folder: Path,
    world: World | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_validation: Callable[[dict[str, float]], None] = lambda values: None,
) -> bool:
    """Train to the end, or until asked to stop; goes on from the folder's newest checkpoint.

    Args:
        stage: made anew for every call.
        args: of the run.
        folder: of the run; all workers must reach it.
        world: this worker among the others.
        should_stop: asked after every update; the first worker's answer counts.
        on_validation: told the values of every validation, in every worker at the same update.

    Returns:
        Whether the run is finished; otherwise the same call goes on with it.
    """
    return _Run(stage, args, folder, world or World(), on_validation).until_end(should_stop)


class _Run(Generic[Batch]):
    def __init__(
        self,
        stage: Stage[Batch],
        args: RunArgs,
        folder: Path,
        world: World,
        on_validation: Callable[[dict[str, float]], None],
    ) -> None:
        self.stage, self.args, self.folder, self.world = stage, args, folder, world
        self.on_validation = on_validation
        self.checkpoints = RunCheckpoints(folder / "checkpoints", args.checkpoints.keep)
        self.progress = Progress()
        self.is_saved = False
        if (saved := self.checkpoints.newest()) is not None:
            stage.load_state_dict(saved["stage"])
            self.progress = Progress.from_json(saved["progress"])
            self.is_saved = True
        self.journal = self._journal() if world.is_first else None
        self.saved_at = time.monotonic()

    def until_end(self, should_stop: Callable[[], bool]) -> bool:
        batches = self._batches()
        try:
            while not self._is_finished() and not self.world.agree(should_stop()):
                self._update(batches)
                if self.progress.update % self.args.validation.every_updates == 0:
                    self._validate()
                self._save_now_and_then()
            self._leave()
            return self._is_finished()
        finally:
            if self.journal is not None:
                self.journal.close()

    def _update(self, batches: Iterator[tuple[Batch, Position]]) -> None:
        update, epoch = self.progress.update, self.progress.position.epoch
        drawn = [next(batches) for _ in range(self.args.accumulate)]
        seed_update(self.args.seed, update, self.world.rank)
        made = self.stage.update([batch for batch, _ in drawn], update, epoch)
        values = self.world.sum_values(made.losses) | made.others
        position = drawn[-1][1]
        self.progress = Progress(update + 1, position, self.progress.best, self.progress.num_worse)
        self.is_saved = False
        if self.journal is not None:
            self.journal.training(update, epoch, values)

    def _validate(self) -> None:
        """The first worker measures; all learn whether it was the best, and whether to go on."""
        values: dict[str, float] = {}
        is_better = False
        if self.journal is not None:
            update = self.progress.update - 1
            values = self.stage.validate(self.journal, update)
            self.journal.validation(update, values)
            is_better = values["better_below"] < self.progress.best
            if is_better:
                write_weights(self.folder / "best", self.stage.weights())
        is_better = self.world.agree(is_better)
        self.progress = Progress(
            self.progress.update,
            self.progress.position,
            values.get("better_below", 0.0) if is_better else self.progress.best,
            0 if is_better else self.progress.num_worse + 1,
        )
        self.on_validation(values)

    def _is_finished(self) -> bool:
        args, progress = self.args, self.progress
        patience = args.validation.patience
        return (
            progress.position.epoch >= args.epochs
            or (args.max_updates is not None and progress.update >= args.max_updates)
            or (patience is not None and progress.num_worse >= patience)
        )

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self.saved_at >= 60 * self.args.checkpoints.every_minutes:
            self._save()

    def _save(self) -> None:
        if self.journal is None or self.is_saved:
            return
        self.journal.flush()
        content = {"stage": self.stage.state_dict(), "progress": self.progress.to_json()}
        self.checkpoints.save(self.progress.update, content)
        self.saved_at = time.monotonic()
        self.is_saved = True

    def _leave(self) -> None:
        """Keep all that was learned. A failed update gets here no more: it may be half made."""
        if self.journal is None:
            return
        self._save()
        write_weights(self.folder / "last", self.stage.weights())
        export(self.folder, self.args.export)
        how = "finished" if self._is_finished() else "stopped, start again to go on,"
        self.journal.say(f"{how} after update {self.progress.update}")

    def _journal(self) -> Journal:
        total = self._estimated_updates()
        journal = Journal(self.folder, self.progress.update, self.args.log_every_updates, total)
        if self.progress.update:
            journal.say(f"goes on after update {self.progress.update}")
        return journal

    def _estimated_updates(self) -> int:
        """Of the whole run; pairs make epochs of slightly different length."""
        per_epoch = len(self.stage.data.sampler.epoch(self.progress.position.epoch))
        by_epochs = per_epoch * self.args.epochs // self.args.accumulate
        return min(by_epochs, self.args.max_updates or by_epochs)

    def _batches(self) -> Iterator[tuple[Batch, Position]]:
        """Batches from the run's position on, read ahead where loaders are configured."""
        stream = self.stage.data.sampler.stream(self.progress.position)
        positions: list[Position] = []

        def draws() -> Iterator[list[Draw]]:
            for batch, after in stream:
                positions.append(after)
                yield batch

        loader: DataLoader[Draw] = DataLoader(
            _Draws(),
            batch_sampler=draws(),  # any iterable of batches will do
            collate_fn=self.stage.data.collate,
            num_workers=self.args.num_loaders,
        )
        for batch in loader:
            yield batch, positions.pop(0)
