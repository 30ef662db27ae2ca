"""A generator with more channels that makes the same sound.

Net2WiderNet (Chen et al., 2016, "Net2Net"): each new channel copies an old one, and what reads the
copies shares the old weight among them. A voice whose decoder is what lacks goes on in a wider one
from where it stands.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from models.gpt_sovits.s2.generator import Generator, ResidualBlock

# Equal shares would give copies equal gradients, and they would stay copies for ever.
_LEAST_SHARE, _MOST_SHARE = 0.8, 1.2


def copy_widened(source: Generator, target: Generator, seed: int = 0) -> None:
    """Give ``target``, of the same stages and more channels, the sound of ``source``.

    Args:
        source: has ``upsample_channels`` of at most the target's.
        target: its weights are replaced.
        seed: of which channels are copied, and of the copies' shares.
    """
    widening = _Widening(seed)
    narrow, wide = source.conv_pre.out_channels, target.conv_pre.out_channels
    origins = widening.draw_origins(narrow, wide)
    _assign(target.conv_pre, _weight(source.conv_pre)[origins], _bias(source.conv_pre)[origins])
    of_speaker = source.speaker_in
    _assign(target.speaker_in, _weight(of_speaker)[origins], _bias(of_speaker)[origins])
    blocks_per_stage = len(source.resblocks) // len(source.rates)
    for stage, (theirs, ours) in enumerate(zip(source.upsamples, target.upsamples, strict=True)):
        narrow, wide = narrow // 2, wide // 2
        made = widening.draw_origins(narrow, wide)
        weight = widening.share(_weight(theirs), origins, dim=0)  # transposed: inputs come first
        _assign(ours, weight[:, made], _bias(theirs)[made])
        blocks = slice(stage * blocks_per_stage, (stage + 1) * blocks_per_stage)
        for before, after in zip(source.resblocks[blocks], target.resblocks[blocks], strict=True):
            assert isinstance(before, ResidualBlock) and isinstance(after, ResidualBlock)
            layers = zip(before.dilated, after.dilated, before.plain, after.plain, strict=True)
            for dilated_before, dilated, plain_before, plain in layers:
                inner = widening.draw_origins(narrow, wide)
                weight = widening.share(_weight(dilated_before), made, dim=1)
                _assign(dilated, weight[inner], _bias(dilated_before)[inner])
                weight = widening.share(_weight(plain_before), inner, dim=1)
                # What is added to the stage's channels has to be laid out as they are.
                _assign(plain, weight[made], _bias(plain_before)[made])
        origins = made
    _assign(target.conv_post, widening.share(_weight(source.conv_post), origins, dim=1))


class _Widening:
    def __init__(self, seed: int) -> None:
        self._random = torch.Generator().manual_seed(seed)

    def draw_origins(self, narrow: int, wide: int) -> Tensor:
        """(wide,) the old channel that each new one copies; the first are the old ones in order."""
        copies = [torch.randperm(narrow, generator=self._random) for _ in range(wide // narrow)]
        return torch.cat((torch.arange(narrow), *copies))[:wide]

    def share(self, weight: Tensor, origins: Tensor, dim: int) -> Tensor:
        """``weight`` over copied input channels: the copies' parts add up to the original's."""
        span = _MOST_SHARE - _LEAST_SHARE
        shares = torch.rand(len(origins), generator=self._random) * span + _LEAST_SHARE
        totals = torch.zeros(weight.shape[dim]).index_add_(0, origins, shares)
        shape = [1] * weight.dim()
        shape[dim] = -1
        return weight.index_select(dim, origins) * (shares / totals[origins]).view(shape)


def _weight(conv: nn.Module) -> Tensor:
    weight = conv.weight  # a parameter, or what weight norm puts together
    assert isinstance(weight, Tensor)
    return weight.detach()


def _bias(conv: nn.Module) -> Tensor:
    return conv.get_parameter("bias").detach()


@torch.no_grad()
def _assign(conv: nn.Module, weight: Tensor, bias: Tensor | None = None) -> None:
    if parametrize.is_parametrized(conv):
        conv.weight = weight  # weight norm takes it apart
    else:
        conv.get_parameter("weight").copy_(weight)
    if bias is not None:
        conv.get_parameter("bias").copy_(bias)
