"""Configuration that refuses what it does not know."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError


class ConfigError(ValueError):
    """A configuration or its data cannot be trained with; the message says why."""


class StrictModel(BaseModel):
    """A typo is an error, and a value never changes after it was checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# A worker of Ray Train runs in a folder of its own, where a relative path would lead nowhere.
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]

Model = TypeVar("Model", bound=StrictModel)


def read_config(path: Path, kind: type[Model]) -> Model:
    """Read a YAML file.

    Raises:
        ConfigError: the file is missing, is no YAML mapping, or a field is unknown or out of range.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold a mapping, not {type(content).__name__}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_faults(error)}") from error


def _faults(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}"
        for fault in error.errors()
    )
