"""Whether an engine may serve a persona, before anything of it is loaded."""

from __future__ import annotations

from deployments.engine.persona.protocol import AdapterRefused, BaseModelMismatch
from models.persona.persona import Persona


def require_servable(
    persona: Persona, *, base_model: str, base_revision: str, precision: str
) -> None:
    """Refuse a persona that was made for something else.

    Args:
        base_model, base_revision: what the engine serves.
        precision: what it computes in, such as `bfloat16`.

    Raises:
        BaseModelMismatch: the persona, or its adapter, was made for another base.
        AdapterRefused: the adapter was not published for this precision.
    """
    if persona.base_model != base_model:
        raise BaseModelMismatch(
            f"persona {persona.ref} was made for {persona.base_model}; "
            f"this engine serves {base_model}"
        )
    adapter = persona.adapter
    if adapter is None:
        return
    if adapter.base_revision != base_revision:
        raise BaseModelMismatch(
            f"adapter of {persona.ref} was trained on revision {adapter.base_revision} of "
            f"{base_model}; this engine serves {base_revision}"
        )
    if not adapter.serves(precision):
        served = ", ".join(served.precision for served in adapter.serves_in)
        raise AdapterRefused(
            f"adapter of {persona.ref} is published to be served in {served}; "
            f"this engine computes in {precision}"
        )
