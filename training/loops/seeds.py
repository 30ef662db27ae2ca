"""Randomness as a function of where in the run it is drawn.

No generator's state outlives an update, so a run that was interrupted draws what it would have
drawn, and so does a run on another number of workers.
"""

import numpy as np
import torch

_UPDATE, _ITEM, _EPOCH, _WEIGHTS, _VALIDATION = range(5)


def seed_weights(seed: int) -> None:
    """Before networks are made."""
    torch.manual_seed(_derive(_WEIGHTS, seed))


def seed_update(seed: int, update: int, rank: int) -> None:
    """Before an update: what the networks draw themselves (dropout)."""
    torch.manual_seed(_derive(_UPDATE, seed, update, rank))


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """For the order and the grouping of an epoch's items."""
    return torch.Generator().manual_seed(_derive(_EPOCH, seed, epoch))


def item_generator(seed: int, epoch: int, position: int) -> torch.Generator:
    """For what is drawn for one item: where it is cropped, which tokens are disturbed."""
    return torch.Generator().manual_seed(_derive(_ITEM, seed, epoch, position))


def validation_generator(seed: int, position: int) -> torch.Generator:
    """For a held-out item; the same at every validation."""
    return torch.Generator().manual_seed(_derive(_VALIDATION, seed, position))


def _derive(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
