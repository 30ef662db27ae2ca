"""Runs a worker over shards, in this process or with Ray Data; the results are the same."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

Row = dict[str, Any]
_MAX_BLOCKS = 2_000


class Worker(Protocol):
    """Loaded once with plain values, then called with one row at a time."""

    def __call__(self, row: Row) -> Row: ...


Mapper = Callable[[Callable[..., Worker], Row, list[Row]], Iterator[Row]]


def map_here(worker: Callable[..., Worker], arguments: Row, rows: list[Row]) -> Iterator[Row]:
    """One after another, in this process."""
    work = worker(**arguments)
    return (work(row) for row in rows)


def map_with_ray(num_workers: int, cpus_per_worker: int) -> Mapper:
    """Side by side in Ray actors, on the cluster a job was submitted to, or one of its own.

    Results come in the order in which they are done.
    """

    def run(worker: Callable[..., Worker], arguments: Row, rows: list[Row]) -> Iterator[Row]:
        import ray
        import ray.data

        if not ray.is_initialized():
            ray.init(address=os.environ.get("RAY_ADDRESS", "local"), log_to_driver=False)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False  # shards are counted by the caller
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        # A block is the unit that is handed out and that comes back.
        blocks = min(len(rows), _MAX_BLOCKS)
        dataset = ray.data.from_items(rows, override_num_blocks=blocks).map(
            worker,  # type: ignore[arg-type]  # Ray takes classes; its annotation does not
            fn_constructor_kwargs=arguments,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=num_workers),
            num_cpus=cpus_per_worker,
        )
        yield from dataset.iter_rows()

    return run
