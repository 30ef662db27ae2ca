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

# Shares differ from weight to weight: Adam takes a common factor of the gradients out again, and
# copies with equal shares, or with one factor each, would stay copies.
_LEAST_SHARE, _MOST_SHARE = 0.5, 1.5
_TINY = 1e-12


def copy_widened(source: Generator, target: Generator, seed: int) -> None:
    """Give ``target``, of the same stages and no fewer channels, the sound of ``source``.

    Args:
        source: on the CPU, in float32.
        target: its weights are replaced.
        seed: of which channels are copied, and of the copies' shares.
    """
    widening = _Widening(seed)
    narrow, wide = source.conv_pre.out_channels, target.conv_pre.out_channels
    origins = widening.draw_origins(narrow, wide)
    for name in ("conv_pre", "speaker_in"):
        old_conv = source.get_submodule(name)
        _assign(old_conv, target.get_submodule(name), _weight(old_conv)[origins], origins, origins)
    blocks_per_stage = len(source.resblocks) // len(source.rates)
    for stage, (before, after) in enumerate(zip(source.upsamples, target.upsamples, strict=True)):
        narrow, wide = narrow // 2, wide // 2
        made = widening.draw_origins(narrow, wide)
        weight = _weight(before)[:, made]  # transposed: inputs come first
        _assign(before, after, widening.share(weight, origins, dim=0), origins, made)
        blocks = slice(stage * blocks_per_stage, (stage + 1) * blocks_per_stage)
        for old, new in zip(source.resblocks[blocks], target.resblocks[blocks], strict=True):
            assert isinstance(old, ResidualBlock) and isinstance(new, ResidualBlock)
            layers = zip(old.dilated, new.dilated, old.plain, new.plain, strict=True)
            for old_dilated, dilated, old_plain, plain in layers:
                inner = widening.draw_origins(narrow, wide)
                weight = widening.share(_weight(old_dilated)[inner], made, dim=1)
                _assign(old_dilated, dilated, weight, inner, inner)
                # What is added to the stage's channels has to be laid out as they are.
                weight = widening.share(_weight(old_plain)[made], inner, dim=1)
                _assign(old_plain, plain, weight, made, made)
        origins = made
    with torch.no_grad():
        weight = widening.share(_weight(source.conv_post), origins, dim=1)
        target.conv_post.weight.copy_(weight)


class _Widening:
    def __init__(self, seed: int) -> None:
        self._random = torch.Generator().manual_seed(seed)

    def draw_origins(self, narrow: int, wide: int) -> Tensor:
        """(wide,) the old channel that each new one copies; the first are the old ones in order."""
        copies = [torch.randperm(narrow, generator=self._random) for _ in range(wide // narrow)]
        return torch.cat((torch.arange(narrow), *copies))[:wide]

    def share(self, weight: Tensor, origins: Tensor, dim: int) -> Tensor:
        """``weight`` over copied input channels: the copies' parts add up to the original's."""
        copied = weight.index_select(dim, origins)
        parts = torch.rand(copied.shape, generator=self._random)
        parts = _LEAST_SHARE + (_MOST_SHARE - _LEAST_SHARE) * parts
        totals = torch.zeros_like(weight).index_add_(dim, origins, parts)
        return copied * parts / totals.index_select(dim, origins)


def _weight(conv: nn.Module) -> Tensor:
    weight = conv.weight  # a parameter, or what weight norm puts together
    assert isinstance(weight, Tensor)
    return weight.detach()


@torch.no_grad()
def _assign(
    before: nn.Module, after: nn.Module, weight: Tensor, first_origins: Tensor, made: Tensor
) -> None:
    """Set weight, whose dimension 0 has ``first_origins``, and bias, which has ``made``."""
    after.get_parameter("bias").copy_(before.get_parameter("bias")[made])
    if not parametrize.is_parametrized(before):
        after.get_parameter("weight").copy_(weight)
        return
    after.weight = weight  # weight norm takes it apart into length and direction
    # A direction's own length does not sound, but a learning rate turns a shorter one faster.
    direction, old_direction = (
        conv.get_parameter("parametrizations.weight.original1") for conv in (after, before)
    )
    lengths = old_direction.flatten(1).norm(dim=1)[first_origins]
    scale = lengths / direction.flatten(1).norm(dim=1).clamp(min=_TINY)
    direction.mul_(scale.view(-1, 1, 1))
