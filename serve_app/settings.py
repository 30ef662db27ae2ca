"""What comes from the environment, and only from there."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Environment variables; a `.env` file at the root of the checkout is read as well."""

    model_config = SettingsConfigDict(env_file=CHECKOUT / ".env", extra="ignore")

    baewoo_storage: Path = Field(
        default=CHECKOUT / "data", description="Absolute folder of voices and job results."
    )
    port: int = Field(default=8000, ge=1, le=65535, description="HTTP port of `make run`.")
