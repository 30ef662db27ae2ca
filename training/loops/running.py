"""What a job needs around its work: its folder to itself, a way to be stopped, a quiet terminal.

Imports little: Ray calls `tame_cleaner` in each of its processes.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.loops.strict import ConfigError

_CLEANER = "ray.train.v2._internal.execution.controller.placement_group_cleaner"
_CLEANER_COMPLAINT = "Failed to query Ray Train Controller actor state."


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Have a folder alone, made if it is missing: two processes would undo each other's work.

    Raises:
        ConfigError: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another run is writing to {folder}") from None
        yield


@contextmanager
def on_termination(call: Callable[[], None]) -> Iterator[None]:
    """Call instead of dying, on SIGTERM and Ctrl-C; a second Ctrl-C ends the process at once."""

    def asked(number: int, frame: object) -> None:
        call()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tame_cleaner() -> None:
    """Run in each process of a cluster of our own, which has no dashboard and ends with the run.

    Ray Train's cleaner, which is to outlive a lost controller, asks every second whether that is
    alive. Unless told whom to ask it asks any cluster of this machine: another one knows no such
    controller, and the cleaner takes the workers of a healthy run away. Ours can't answer, which
    leaves the run alone; that it says so is silenced.
    """
    import ray

    ask_only(ray.get_runtime_context().gcs_address)


def ask_only(gcs_address: str) -> None:
    """The part of `tame_cleaner` that needs no cluster."""
    os.environ["RAY_ADDRESS"] = gcs_address
    logging.getLogger(_CLEANER).addFilter(
        lambda record: not record.getMessage().startswith(_CLEANER_COMPLAINT)
    )
