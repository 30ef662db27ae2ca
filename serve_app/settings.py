"""What comes from the environment, and only from there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent


def _absolute(folder: Path) -> Path:
    if not folder.is_absolute():
        raise ValueError(f"must be an absolute folder, got {str(folder)!r}")
    return folder


AbsoluteFolder = Annotated[Path, AfterValidator(_absolute)]
AbsoluteFile = Annotated[Path, AfterValidator(_absolute)]


class Settings(BaseSettings):
    """Environment variables; a `.env` file at the root of the checkout is read as well."""

    model_config = SettingsConfigDict(
        env_file=CHECKOUT / ".env", extra="ignore", env_ignore_empty=True
    )

    baewoo_storage: AbsoluteFolder = Field(
        default=CHECKOUT / "data", description="Absolute folder of voices and job results."
    )
    baewoo_api_keys: str = Field(
        default="", description="API keys, name:sha256 each, separated by spaces or commas."
    )
    baewoo_api_keys_file: AbsoluteFile | None = Field(
        default=None, description="Absolute path of a file of API keys, one name:sha256 a line."
    )
    port: int = Field(default=8000, ge=1, le=65535, description="HTTP port of `make run`.")
