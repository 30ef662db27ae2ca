"""ScaledAdam, the optimiser S1 is trained with (it comes from the icefall speech recipes).

Adam whose step is relative: a tensor moves in proportion to its own root mean square, and that size
is itself learned, from the gradient with respect to a scale on the whole tensor. Gradients are
clipped against the median of their recent norms, measured after the same scaling.

As in the reference, the clipping acts on the size update alone; the main update sees the raw
gradient. The numbers are those S1's published weights were trained with.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor, nn

# The reference's schedule, in effect: its warm-up and decay settings are overridden there.
FIRST_LEARNING_RATE = 0.01
LEARNING_RATE = 0.002


def s1_learning_rate(step: int) -> float:
    """The learning rate of S1's 0-based optimiser step."""
    return FIRST_LEARNING_RATE if step == 0 else LEARNING_RATE


@dataclass(frozen=True)
class ScaledAdamSettings:
    """Hyperparameters; sizes are root mean squares of tensors.

    Attributes:
        betas: decay of the step and of the squared gradient.
        clipping_scale: gradients are clipped at this many times the median norm.
        clipping_update_period: steps between updates of that median, and norms it is taken of.
        scalar_lr_scale: learning rate of one-element tensors, relative to that of the others.
        size_update_period: steps between updates of a tensor's size.
        min_size, max_size: a tensor below the first stops shrinking or growing by its scale, one
            above the second is shrunk at the maximal rate.
        scalar_max: one-element tensors are kept within plus and minus this.
    """

    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    clipping_scale: float = 2.0
    clipping_update_period: int = 1000
    scalar_lr_scale: float = 0.1
    size_update_period: int = 4
    min_size: float = 1e-5
    max_size: float = 3.0
    scalar_max: float = 10.0


class ScaledAdam(torch.optim.Optimizer):
    """The optimiser described above.

    Args:
        params: tensors to optimise. All must have a gradient at every step.
        lr: learning rate; for S1 set it before each step from ``s1_learning_rate``.
        settings: the rest.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = LEARNING_RATE,
        settings: ScaledAdamSettings | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr})
        self.settings = settings or ScaledAdamSettings()

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter.

        Raises:
            ValueError: a parameter has no gradient.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        parameters: list[nn.Parameter] = group["params"]
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = self._initial_state(parameter)
        clip = self._clip_factor(group, parameters)
        for parameter in parameters:
            state = self.state[parameter]
            if parameter.numel() == 1:
                self._update_scalar(parameter, state, group["lr"])
            else:
                self._update_tensor(parameter, state, group["lr"], clip)
            state["step"] += 1

    def _initial_state(self, parameter: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = {
            "step": 0,
            "delta": torch.zeros_like(parameter),
            "grad_square": torch.zeros_like(parameter),
        }
        if parameter.numel() > 1:
            period = self.settings.size_update_period
            state["size"] = _root_mean_square(parameter)
            state["scale_grads"] = torch.zeros(period, device=parameter.device)
            state["scale_grad_square"] = torch.zeros((), device=parameter.device)
        return state

    def _clip_factor(self, group: dict[str, Any], parameters: list[nn.Parameter]) -> Tensor | float:
        """The factor that brings the gradients' norm down to the threshold; 1 in the beginning."""
        step = self.state[parameters[0]]["step"]
        if step == 0:
            return 1.0
        period = self.settings.clipping_update_period
        norm = torch.stack([self._grad_norm_square(p) for p in parameters]).sum().sqrt()
        norms = group.setdefault("recent_norms", torch.zeros(period, device=norm.device))
        norms[step % period] = norm
        if step % period == 0:
            # The reference's "median": element 2 * floor(period / 4) of the sorted norms.
            median = norms.sort().values[2 * (period // 4)]
            group["clipping_threshold"] = self.settings.clipping_scale * median
        if step < period:
            return 1.0
        factor: Tensor = (group["clipping_threshold"] / (norm + 1e-20)).clamp(max=1.0)
        return factor

    def _grad_norm_square(self, parameter: nn.Parameter) -> Tensor:
        gradient = _gradient(parameter)
        size: Tensor | float = self.state[parameter].get("size", 1.0)
        return (gradient * size).square().sum()

    def _update_scalar(self, parameter: Tensor, state: dict[str, Any], lr: float) -> None:
        """Plain Adam at a lower rate; nothing is relative to the size of a single number."""
        settings = self.settings
        beta1, beta2 = settings.betas
        gradient = _gradient(parameter)
        state["grad_square"].lerp_(gradient.square(), 1 - beta2)
        bias_correction = 1 - beta2 ** (state["step"] + 1)
        denominator = (state["grad_square"] / bias_correction).sqrt() + settings.eps
        rate = (1 - beta1) * lr * settings.scalar_lr_scale
        state["delta"].mul_(beta1).sub_(rate * gradient / denominator)
        parameter.clamp_(-settings.scalar_max, settings.scalar_max).add_(state["delta"])

    def _update_tensor(
        self, parameter: Tensor, state: dict[str, Any], lr: float, clip: Tensor | float
    ) -> None:
        settings = self.settings
        beta1, beta2 = settings.betas
        gradient, step = _gradient(parameter), state["step"]
        delta = state["delta"].mul_(beta1)
        phase = step % settings.size_update_period
        state["scale_grads"][phase] = clip * (parameter * gradient).sum()
        if phase == settings.size_update_period - 1:
            state["size"] = _root_mean_square(parameter)
            delta.add_((1 - beta1) * self._scale_step(state, lr) * parameter)

        state["grad_square"].lerp_(gradient.square(), 1 - beta2)
        bias_correction = 1 - beta2 ** (step + 1)
        # Close to 1 the reference leaves the correction out.
        corrected = state["grad_square"] / (bias_correction if bias_correction < 0.99 else 1.0)
        rate = (1 - beta1) * lr * state["size"].clamp(min=settings.min_size)
        delta.sub_(rate * gradient / (corrected.sqrt() + settings.eps))
        parameter.add_(delta)

    def _scale_step(self, state: dict[str, Any], lr: float) -> Tensor:
        """The relative change of a tensor's scale: Adam on the last few gradients of that scale."""
        settings = self.settings
        beta2 = settings.betas[1] ** settings.size_update_period
        square = state["scale_grad_square"]
        square.lerp_(state["scale_grads"].square().mean(), 1 - beta2)
        num_updates = (state["step"] + 1) // settings.size_update_period
        bias_correction = 1 - beta2**num_updates
        rate = settings.scalar_lr_scale * lr * bias_correction**0.5
        step: Tensor = -rate * state["scale_grads"].sum() / (square.sqrt() + settings.eps)
        step = torch.where(state["size"] < settings.min_size, torch.zeros_like(step), step)
        shrink = -settings.scalar_lr_scale * lr * settings.size_update_period
        return torch.where(state["size"] > settings.max_size, torch.full_like(step, shrink), step)


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        raise ValueError(
            "every parameter of ScaledAdam needs a gradient at every step; "
            f"one of shape {tuple(parameter.shape)} has none"
        )
    return parameter.grad


def _root_mean_square(tensor: Tensor) -> Tensor:
    return tensor.square().mean().sqrt()
