"""Publishes an exported adapter as a version of its persona, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.persona.adapter import AdapterInfo, ServedPrecision
from models.persona.adapter_files import LINES_NAME, MAX_LINES_BYTES
from models.persona.persona import Persona
from models.storage import ObjectStore, embedded_store
from training.loops.persona.args import PersonaArgs
from training.loops.persona.export import TRAINING_NAME
from training.loops.persona.run import CONFIG_NAME, WEIGHTS_NAME, Material
from training.loops.strict import ConfigError
from training.persona.card import persona_card
from training.persona.character import Character
from training.publishing.hub import push
from training.publishing.versions import Description, PublishedVersion, VersionedFolder

DOCUMENT_NAME = "persona.json"


def publish(
    args: PersonaArgs,
    character: Character,
    material: Material,
    export: Path,
    store: ObjectStore,
    version: int | None = None,
) -> PublishedVersion:
    """Publish the adapter in ``export``; ``persona.json`` appears last.

    Args:
        material: what the run has learned from.
        version: to publish it as; None for the next free number, or for the newest version where
            that is this adapter and this character already.

    Raises:
        ConfigError: the export is of a run with other settings of the adapter, or there are more
            training lines than engines read.
        training.publishing.versions.VersionTaken: that version is not free.
        OSError: the export is incomplete.
    """
    files = {name: (export / name).read_bytes() for name in (WEIGHTS_NAME, CONFIG_NAME)}
    training = json.loads((export / TRAINING_NAME).read_text(encoding="utf-8"))
    _require_same_adapter(args, training["arguments"])
    files[TRAINING_NAME] = (export / TRAINING_NAME).read_bytes()
    if args.publishing.with_lines:
        files[LINES_NAME] = _training_lines(material)
    adapter = _adapter_info(args, training, files)

    def describe(number: int) -> Description:
        persona = character.persona(
            base_model=args.base_model,
            instruction=material.persona.instruction,
            licence=args.publishing.licence,
            version=str(number),
            adapter=adapter,
        )
        card = persona_card(persona, args.publishing.notice, training, files)
        return Description(card, _document(character, persona))

    folder = VersionedFolder(
        store, "personas", character.persona_id, DOCUMENT_NAME, (embedded_store(),)
    )
    return folder.publish_once(files, describe, version)


def push_to_hub(args: PersonaArgs, published: PublishedVersion) -> str | None:
    """Push the version's files to the repository of the configuration, if it names one.

    Returns:
        Address of the commit; None without a hub.

    Raises:
        training.publishing.hub.HubError: the hub refused.
    """
    if args.publishing.hub is None:
        return None
    return push(args.publishing.hub, published.files, f"Publish persona {published.record}")


def _require_same_adapter(args: PersonaArgs, trained: dict[str, Any]) -> None:
    """What `persona.json` will say has to be what was trained, or no engine takes it."""
    wanted = args.model_dump(mode="json")
    for name in ("base_model", "precision", "lora"):
        if wanted[name] != trained[name]:
            raise ConfigError(
                f"{name} is {wanted[name]}; the finished run was trained with {trained[name]}"
            )


def _training_lines(material: Material) -> bytes:
    lines = dict.fromkeys(row.output for row in material.rows)
    content = "".join(f"{line}\n" for line in lines).encode()
    if len(content) > MAX_LINES_BYTES:
        raise ConfigError(
            f"{LINES_NAME} would have {len(content)} bytes; engines read at most "
            f"{MAX_LINES_BYTES}: set publishing.with_lines to false to publish without it"
        )
    return content


def _adapter_info(
    args: PersonaArgs, training: dict[str, Any], files: Mapping[str, bytes]
) -> AdapterInfo:
    sha256_of = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return AdapterInfo(
        rank=args.lora.rank,
        alpha=float(args.lora.alpha),
        target_modules=tuple(sorted(args.lora.target_modules)),
        base_revision=training["base_revision"],
        weights_sha256=sha256_of[WEIGHTS_NAME],
        trained_in=args.precision,
        serves_in=tuple(ServedPrecision(**served) for served in training["serves_in"]),
        lines_sha256=sha256_of.get(LINES_NAME),
    )


def _document(character: Character, persona: Persona) -> bytes:
    """In the order of the character's file, what training found behind it."""
    everything = asdict(persona)
    ordered = {name: everything.pop(name) for name in ("persona_id", "version")}
    ordered |= {name: everything.pop(name) for name in character.fields if name in everything}
    return (json.dumps(ordered | everything, ensure_ascii=False, indent=2) + "\n").encode()
