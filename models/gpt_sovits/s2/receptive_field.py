"""How many neighbouring frames a frame of output depends on, computed from a voice's sizes.

With at least this much context on either side, a chunk decoded alone equals the same stretch of
the whole; with less it differs. At the published sizes the flow needs 32 frames a side and the
generator 11, together 0.86 s.
"""

from typing import NamedTuple

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.generator import EDGE_KERNEL_SIZE


class Context(NamedTuple):
    """Latent frames needed before and after a chunk."""

    left: int
    right: int


def flow_context(config: S2Config) -> Context:
    """Every layer of every coupling sees half a kernel to either side."""
    reach = config.flow_couplings * config.flow_layers * (config.wavenet_kernel_size // 2)
    return Context(reach, reach)


def generator_context(config: S2Config) -> Context:
    """Walks from the waveform back to the latent, counting in each stage's own samples.

    A transposed convolution with kernel ``k``, stride ``u`` and padding ``p`` takes output ``t``
    from the inputs ``ceil((t + p - k + 1) / u) .. floor((t + p) / u)``. Chunks begin and end on
    latent frames, so ``t`` is ``-left`` or ``right - 1`` relative to a multiple of ``u``.
    """
    left = right = EDGE_KERNEL_SIZE // 2
    block_reach = max(
        sum((kernel // 2) * (dilation + 1) for dilation in dilations)
        for kernel, dilations in zip(
            config.resblock_kernel_sizes, config.resblock_dilations, strict=True
        )
    )
    stages = list(zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True))
    for rate, kernel in reversed(stages):
        padding = (kernel - rate) // 2
        left = (left + block_reach + kernel - 1 - padding) // rate
        right = -(-(right + block_reach + padding) // rate)
    return Context(left + EDGE_KERNEL_SIZE // 2, right + EDGE_KERNEL_SIZE // 2)
