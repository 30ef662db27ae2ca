"""What the configuration says about access; the keys themselves come from the environment."""

from __future__ import annotations

from pydantic import Field

from deployments.args import StrictArgs


class AccessArgs(StrictArgs):
    """Who may call, and how often."""

    allow_anonymous: bool = Field(
        default=False,
        description="Let everybody in where no key is configured, also from other machines.",
    )
    requests_per_minute: int = Field(default=600, ge=1, description="Of one API key.")
