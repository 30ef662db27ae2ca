"""ScaledAdam and its schedule against the reference, step by step.

Vectors and tolerance: tests/parity/data/gpt_sovits_v2/README.md, files ``s1_scaledadam_*.npz``.
"""

import numpy as np
import pytest
import torch
from torch import nn

from models.optim.scaled_adam import ScaledAdam, ScaledAdamSettings, s1_learning_rate
from tests.parity.fill import filler_for
from tests.parity.golden import GoldenFolder

TOLERANCE = 1e-6
NAMES = ("w", "b", "w2", "alpha")
INITIAL_SCALE = 0.3
LARGE_GRADIENT_STEPS, LARGE_GRADIENT_SCALE = (9, 11), 30.0


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("default", ScaledAdamSettings()),
        ("clip4", ScaledAdamSettings(clipping_update_period=4)),
    ],
)
def test_every_step_equals_the_reference(name: str, settings: ScaledAdamSettings) -> None:
    file_name = f"s1_scaledadam_{name}.npz"
    arrays = GoldenFolder("gpt_sovits_v2").arrays(file_name)
    filler = filler_for(file_name)
    shapes = {key: arrays[key].shape[1:] for key in NAMES}
    parameters = {
        key: nn.Parameter(torch.from_numpy(filler.normalish(f"sadam/{key}", shape, INITIAL_SCALE)))
        for key, shape in shapes.items()
    }
    optimizer = ScaledAdam(parameters.values(), settings=settings)
    for step in range(len(arrays["lr_used"])):
        scale = LARGE_GRADIENT_SCALE if step in LARGE_GRADIENT_STEPS else 1.0
        for key, parameter in parameters.items():
            values = parameter.detach().numpy()
            np.testing.assert_allclose(values, arrays[key][step], rtol=0, atol=TOLERANCE)
            gradient = filler.normalish(f"sadam/grad{step}/{key}", shapes[key], scale)
            parameter.grad = torch.from_numpy(gradient)
        learning_rate = s1_learning_rate(step)
        assert learning_rate == pytest.approx(arrays["lr_used"][step])
        optimizer.param_groups[0]["lr"] = learning_rate
        optimizer.step()
    for key, parameter in parameters.items():
        np.testing.assert_allclose(parameter.detach(), arrays[key][-1], rtol=0, atol=TOLERANCE)
