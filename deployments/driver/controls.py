"""What only some engines can be told about how to speak."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Controls:
    """None leaves a control to the voice; see `models.zonos.conditions.Conditions`.

    Args:
        speaking_rate: phonemes a second.
        pitch_std: how much the pitch moves.
        fmax: highest frequency that is heard, Hz.
    """

    speaking_rate: float | None = None
    pitch_std: float | None = None
    fmax: float | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """Names of those that are not None."""
        return tuple(name for name, value in asdict(self).items() if value is not None)


NO_CONTROLS = Controls()
