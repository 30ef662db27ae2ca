"""The workers of a run: which one this is, and how they add things up.

Each worker computes its rows' share of the gradient of the whole batch; the shares are added once
an update. So any number of workers makes the same update, and accumulation costs no messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Row = TypeVar("Row")


@dataclass(frozen=True)
class World:
    """One worker among ``size``; alone it needs no process group."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @classmethod
    def of_process_group(cls, device: torch.device) -> World:
        """The worker this process is in the group that Ray Train (or torchrun) has made."""
        if not dist.is_initialized():
            return cls(device=device)
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @property
    def is_first(self) -> bool:
        """Whether this worker writes what is written once."""
        return self.rank == 0

    def rows(self, batch: list[Row]) -> list[Row]:
        """This worker's part of a batch."""
        return batch[self.rank :: self.size]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add the gradients of all workers, in place, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def sum_values(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Add scalars of all workers by name; the names are the same everywhere."""
        if not values:
            return {}
        stacked = torch.stack([value.detach().double().cpu() for value in values.values()])
        if self.size > 1:
            stacked = stacked.to(self.device)
            dist.all_reduce(stacked)
        return dict(zip(values, stacked.tolist(), strict=True))

    def agree(self, flag: bool) -> bool:
        """What the first worker says, to all."""
        if self.size == 1:
            return flag
        said = torch.tensor([flag], dtype=torch.int64, device=self.device)
        dist.broadcast(said, src=0)
        return bool(said.item())
