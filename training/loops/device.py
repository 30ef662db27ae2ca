"""Batches from the loader's memory to the accelerator's."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


def moved(value: Value, device: torch.device) -> Value:
    """The same with every tensor in it on ``device``; dataclasses and lists are looked into."""
    result: Any = value
    if isinstance(value, Tensor):
        result = value.to(device, non_blocking=True)
    elif isinstance(value, list):
        result = [moved(item, device) for item in value]
    elif is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: moved(getattr(value, field.name), device) for field in fields(value)}
        result = replace(value, **changed)
    return result  # type: ignore[no-any-return]
