"""Networks in half precision, weights and losses in single."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from training.loops.strict import ConfigError
from training.loops.world import World

Precision = Literal["fp32", "bf16", "fp16"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_calls(
    modules: Iterable[nn.Module],
    precision: Precision,
    device_type: str,
    method: str = "forward",
) -> None:
    """Let this method of these modules, and nothing around it, compute in ``precision``; in place.

    Raises:
        ConfigError: fp16 on a CPU.
    """
    if precision == "fp16" and device_type == "cpu":
        raise ConfigError("precision fp16 needs a GPU; a CPU trains in bf16 or fp32")
    if precision == "fp32":
        return
    for module in modules:
        autocast = torch.autocast(device_type, _DTYPES[precision])
        setattr(module, method, autocast(getattr(module, method)))


class NotFiniteError(RuntimeError):
    """Training has diverged: gradients are not finite, update after update."""


class GradientStep:
    """Backward passes, then one optimizer step from the gradients of all workers.

    In fp16 losses are scaled up so that small gradients survive. An update whose gradients are not
    finite is left out.

    Args:
        optimizer: its parameters are those that are trained.
        world: whose gradients are added.
        precision: of the networks.
        clip_norm: bound on the norm of all gradients; None for none.

    Raises:
        NotFiniteError: from ``step``, when 20 updates in a row were left out.
    """

    MAX_SKIPPED = 20

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        world: World,
        precision: Precision,
        clip_norm: float | None,
    ) -> None:
        self.optimizer = optimizer
        self.world = world
        self.clip_norm = clip_norm
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=precision == "fp16")
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.num_skipped = 0

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``."""
        scaled: Tensor = self.scaler.scale(loss)
        scaled.backward()

    def step(self) -> float:
        """Update the weights and forget the gradients.

        Returns:
            The norm of the gradients before it was bounded.
        """
        self.world.sum_gradients(self.parameters)
        self.scaler.unscale_(self.optimizer)
        bound = float("inf") if self.clip_norm is None else self.clip_norm
        norm = float(nn.utils.clip_grad_norm_(self.parameters, bound))
        is_finite = norm < float("inf")  # false for nan
        if is_finite:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.num_skipped = 0 if is_finite else self.num_skipped + 1
        if self.num_skipped >= self.MAX_SKIPPED:
            raise NotFiniteError(f"gradients were not finite in {self.num_skipped} updates running")
        return norm

    def set_learning_rate(self, rate: float) -> None:
        """Of every group, times the group's own ``lr_scale``."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)

    def state_dict(self) -> dict[str, object]:
        """All that the next step depends on."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, dict[str, object]]) -> None:
        """Undo ``state_dict``, but for what is configured: that is as it is configured now."""
        configured = [
            {name: value for name, value in group.items() if name != "params"}
            for group in self.optimizer.param_groups
        ]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, values in zip(self.optimizer.param_groups, configured, strict=True):
            group.update(values)
        self.scaler.load_state_dict(state["scaler"])
