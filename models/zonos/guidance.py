"""Classifier-free guidance: away from what the text alone would sound like."""

from __future__ import annotations

from torch import Tensor

MAX_GUIDANCE_SCALE = 10.0


def guided(logits: Tensor, scale: Tensor | float) -> Tensor:
    """``uncond + (cond - uncond) * scale``, in float32.

    Args:
        logits: (..., 2, codebook, logit): conditional, unconditional.
        scale: one number, or a tensor that broadcasts to (..., codebook, logit).

    Returns:
        (..., codebook, logit).
    """
    conditional, unconditional = logits.float().unbind(-3)
    return unconditional + (conditional - unconditional) * scale


def check_guidance_scale(scale: float) -> None:
    """Raises ValueError unless the scale is above 1 (none) and at most `MAX_GUIDANCE_SCALE`."""
    if not 1.0 < scale <= MAX_GUIDANCE_SCALE:
        raise ValueError(
            f"guidance_scale must be above 1 and at most {MAX_GUIDANCE_SCALE}, not {scale}"
        )
