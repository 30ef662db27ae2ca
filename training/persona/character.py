"""Who a character is, apart from what training finds: a `persona.json` before its publication."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.persona.adapter import AdapterInfo
from models.persona.persona import Persona, PersonaError
from training.loops.strict import ConfigError
from training.persona.rows import Row

_FOUND_BY_TRAINING = ("adapter", "base_model", "examples", "instruction", "licence", "version")


@dataclass(frozen=True)
class Character:
    """`fields` are those of a `persona.json`, without what a training run adds."""

    fields: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Character:
        """Read a character's file.

        Raises:
            ConfigError: it is missing, no JSON, names what training finds, or makes no persona.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"{path}: is not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise ConfigError(f"{path}: must hold an object, not {type(fields).__name__}")
        if extra := sorted(set(fields) & set(_FOUND_BY_TRAINING)):
            raise ConfigError(f"{path}: {extra[0]} is written when the persona is published")
        character = cls(fields)
        try:
            character.persona(base_model="-", instruction="-", licence="-")
        except PersonaError as error:
            raise ConfigError(f"{path}: {error}") from None
        return character

    @property
    def persona_id(self) -> str:
        return str(self.fields["persona_id"])

    def persona(
        self,
        *,
        base_model: str,
        instruction: str,
        licence: str,
        version: str = "1",
        adapter: AdapterInfo | None = None,
    ) -> Persona:
        """The persona on a base model; it needs no examples, for its adapter has seen them all.

        Raises:
            PersonaError: a field is out of bounds.
        """
        document = {
            **self.fields,
            "version": version,
            "licence": licence,
            "base_model": base_model,
            "instruction": instruction,
        }
        if adapter is not None:
            document["adapter"] = asdict(adapter)
        return Persona.from_json(json.dumps(document, ensure_ascii=False))


def instruction_of(rows: Sequence[Row]) -> str:
    """The one character sheet of all rows.

    Raises:
        ConfigError: they have several.
    """
    sheets = {row.instruction for row in rows}
    if len(sheets) != 1:
        raise ConfigError(f"the rows have {len(sheets)} instructions; a persona has one")
    return sheets.pop()
