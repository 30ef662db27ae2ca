"""What `persona.json` says of a persona's adapter: what it changes, on what, and how exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

Precision = Literal["float32", "bfloat16", "float16", "nf4"]
"""Of the base model's weights; `nf4` is the 4-bit NormalFloat of QLoRA (Dettmers et al. 2023)."""

MAX_RANK = 256

ModuleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class ServedPrecision:
    """A precision the adapter may be served in, with what that costs, measured at publishing.

    `max_logit_difference` is the largest between the precision trained in and this one, over
    held-out prompts; `format_compliance` the share of lines that needed no repair.
    """

    __pydantic_config__ = _STRICT

    precision: Precision
    max_logit_difference: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    format_compliance: Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True)
class AdapterInfo:
    """A LoRA adapter (Hu et al. 2021): `W x` becomes `W x + alpha / rank * B A x`.

    Args:
        rank: rows of A and columns of B.
        alpha: scales what is added, relative to the rank.
        target_modules: last names of the linear layers it adds to.
        base_revision: which weights of the base model it was trained on.
        weights_sha256: of `adapter_model.safetensors`.
        trained_in: precision of the frozen weights during training.
        serves_in: precisions it may be served in, `trained_in` included.
        lines_sha256: of `training_lines.txt`, the lines it was trained on; None where they are not
            published, and a line that recites one of them can't be told.
    """

    __pydantic_config__ = _STRICT

    rank: Annotated[int, Field(ge=1, le=MAX_RANK)]
    alpha: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    target_modules: Annotated[tuple[ModuleName, ...], Field(min_length=1, max_length=64)]
    base_revision: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    weights_sha256: Sha256
    trained_in: Precision
    serves_in: Annotated[tuple[ServedPrecision, ...], Field(min_length=1, max_length=8)]
    lines_sha256: Sha256 | None = None

    def serves(self, precision: str) -> bool:
        """Whether it was measured, and found good enough to publish, in this precision."""
        return any(served.precision == precision for served in self.serves_in)
