"""ScaledAdam keeps all it needs to go on in its state dict."""

import copy
import io

import pytest
import torch
from torch import nn

from models.optim.scaled_adam import ScaledAdam, ScaledAdamSettings

SETTINGS = ScaledAdamSettings(clipping_update_period=3)


def parameters() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in ((4, 5), (6,), (1,))]


def run(optimizer: ScaledAdam, params: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in params:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def test_an_interrupted_run_ends_like_an_uninterrupted_one() -> None:
    whole = parameters()
    run(ScaledAdam(whole, settings=SETTINGS), whole, range(11))

    first = parameters()
    optimizer = ScaledAdam(first, settings=SETTINGS)
    run(optimizer, first, range(5))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    second = copy.deepcopy(first)
    resumed = ScaledAdam(second, settings=SETTINGS)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    run(resumed, second, range(5, 11))

    for got, expected in zip(second, whole, strict=True):
        assert torch.equal(got, expected)


def test_a_parameter_without_a_gradient_is_refused() -> None:
    params = parameters()
    with pytest.raises(ValueError, match=r"one of shape \(4, 5\) has none"):
        ScaledAdam(params).step()


def test_one_element_tensors_stay_within_their_bound() -> None:
    scalar = nn.Parameter(torch.tensor([50.0]))
    optimizer = ScaledAdam([scalar])
    scalar.grad = torch.tensor([1.0])
    optimizer.step()
    assert scalar.item() == pytest.approx(10.0, abs=0.01)
