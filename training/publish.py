"""Publishes trained weights and voices made of them, as versions the service can use at once.

    python -m training.publish --config training/configs/publish.yaml --root DIR
    python -m training.publish --config … --root s3://bucket/prefix
    python -m training.publish --config … --root models/embedded     # what ships with the project

A version appears as a whole or not at all, never changes, and its number is never used again. What
the newest one holds already is not published a second time. With `hub` in the configuration the
same files go to a repository of a model hub as well; the token is read from HF_TOKEN.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from models.assets import AssetError
from models.gpt_sovits.published import (
    PublishedCheckpoint,
    PublishedVoice,
    SslName,
    checkpoint_from_json,
    to_json,
)
from models.ssl.encoder import SslEncoder
from models.storage import ObjectStore, RecordId, VersionedRecords, embedded_store, open_store
from training.loops.strict import ConfigError, read_config
from training.publishing import checkpoint as weights
from training.publishing.card import model_card
from training.publishing.config import CheckpointArgs, PublishArgs, VoiceArgs, read_metrics
from training.publishing.hub import push
from training.publishing.references import EncodedReference, OpenEncoder, encode, encoder_opener
from training.publishing.versions import (
    CARD_NAME,
    Description,
    PublishedVersion,
    VersionedFolder,
)


@dataclass(frozen=True)
class Publication:
    """The weights that are used, the voices, all files by key; `is_new` if any was written."""

    checkpoint: RecordId
    voices: tuple[RecordId, ...]
    files: dict[str, bytes]
    is_new: bool


@dataclass(frozen=True)
class _Base:
    """The weights that voices are made with."""

    record: RecordId
    ssl: SslName
    weights: weights.ServedWeights
    files: dict[str, bytes]
    is_new: bool


@dataclass(frozen=True)
class _PreparedVoice:
    args: VoiceArgs
    references: list[EncodedReference]
    metrics: dict[str, float]


@torch.no_grad()
def publish(args: PublishArgs, store: ObjectStore, open_encoder: OpenEncoder) -> Publication:
    """Publish the weights, if they are new, then the voices.

    Everything that can fail (files, clips, transcripts) is done before the first write.

    Raises:
        ValueError: something can't be read or used, or a wanted version is taken; says what.
        OSError: a file is missing.
    """
    metrics = _checkpoint_metrics(args)
    stored = _stored(args, store) if isinstance(args.checkpoint, str) else None
    served = stored.weights if stored else weights.prepare(_new(args))
    ssl = stored.ssl if stored else _new(args).ssl
    voices = _prepared(args, served, open_encoder(ssl)) if args.voices else []
    base = stored or _publish_checkpoint(args, _new(args), served, metrics, store)
    files = dict(base.files)
    published = []
    for voice in voices:
        folder = VersionedFolder(store, "voices", voice.args.id, "voice.json", (embedded_store(),))
        published.append(_publish_voice(args, voice, base, folder))
        files |= _by_key(folder, published[-1])
    return Publication(
        base.record,
        tuple(voice.record for voice in published),
        files,
        base.is_new or any(voice.is_new for voice in published),
    )


def _publish_checkpoint(
    args: PublishArgs,
    new: CheckpointArgs,
    served: weights.ServedWeights,
    metrics: dict[str, float],
    store: ObjectStore,
) -> _Base:
    facts = {
        "architecture": "GPT-SoVITS v2, S1 and S2",
        "parameters": f"{served.num_parameters:,}",
        "precision": new.precision,
        "size": f"{served.num_bytes / 1e6:.1f} MB",
        "semantic tokens from": new.ssl,
        "drawn with": ", ".join(f"{name} {value}" for name, value in asdict(new.sampling).items()),
    }

    def describe(version: int) -> Description:
        document = PublishedCheckpoint(
            checkpoint_id=new.id,
            version=str(version),
            family="gpt_sovits_v2",
            ssl=new.ssl,
            description=new.description,
            licence=new.licence,
            created_at=_now(),
            metrics=metrics,
            sampling=new.sampling,
        )
        card = model_card(
            title=f"{new.id}@{version}",
            description=new.description,
            licence=new.licence,
            language="ko",
            facts=facts,
            metrics=metrics,
            files=served.files,
            card=args.card,
        )
        return Description(card, to_json(document))

    folder = VersionedFolder(store, "checkpoints", new.id, "checkpoint.json", (embedded_store(),))
    published = folder.publish_once(served.files, describe, new.version)
    return _Base(published.record, new.ssl, served, _by_key(folder, published), published.is_new)


def _publish_voice(
    args: PublishArgs, voice: _PreparedVoice, base: _Base, folder: VersionedFolder
) -> PublishedVersion:
    clips = {name: data for reference in voice.references for name, data in reference.files.items()}

    def describe(version: int) -> Description:
        document = PublishedVoice(
            voice_id=voice.args.id,
            version=str(version),
            engine="gpt_sovits",
            language=voice.args.language,
            description=voice.args.description,
            licence=voice.args.licence,
            created_at=_now(),
            checkpoint=str(base.record),
            references=tuple(reference.published for reference in voice.references),
            consent=None,
            owner=None,
            training=_training_summary(args, voice.metrics),
        )
        card = model_card(
            title=f"{voice.args.id}@{version}",
            description=voice.args.description,
            licence=voice.args.licence,
            language=voice.args.language,
            facts={"weights": str(base.record), "reference clips": str(len(voice.references))},
            metrics=voice.metrics,
            files=clips,
            card=args.card,
        )
        return Description(card, to_json(document))

    return folder.publish_once(clips, describe, voice.args.version)


def _prepared(
    args: PublishArgs, served: weights.ServedWeights, encoder: SslEncoder
) -> list[_PreparedVoice]:
    return [
        _PreparedVoice(
            voice,
            [
                encode(reference, idx, served.synthesizer, encoder)
                for idx, reference in enumerate(voice.references)
            ],
            read_metrics(voice.evaluation),
        )
        for voice in args.voices
    ]


def _stored(args: PublishArgs, store: ObjectStore) -> _Base:
    """Weights that were published before, in the root or with the project."""
    layers = (store, embedded_store())
    records = VersionedRecords(layers, "checkpoints", "{version}/checkpoint.json")
    record = records.resolve(str(args.checkpoint))
    document = checkpoint_from_json(records.read_bytes(record))
    key = f"checkpoints/{record.name}/{record.version}"
    layer = next(layer for layer in layers if "checkpoint.json" in layer.children(key))
    return _Base(
        record, document.ssl, weights.stored(layer, record.name, record.version), {}, False
    )


def _new(args: PublishArgs) -> CheckpointArgs:
    assert isinstance(args.checkpoint, CheckpointArgs)
    return args.checkpoint


def _checkpoint_metrics(args: PublishArgs) -> dict[str, float]:
    if isinstance(args.checkpoint, str):
        return {}
    return read_metrics(args.checkpoint.evaluation)


def _training_summary(args: PublishArgs, metrics: dict[str, float]) -> dict[str, Any]:
    return {
        "data": args.card.data,
        "teacher": args.card.teacher,
        "seed": args.card.seed,
        "metrics": metrics,
    }


def _by_key(folder: VersionedFolder, published: PublishedVersion) -> dict[str, bytes]:
    version = int(published.record.version)
    return {folder.key(version, name): content for name, content in published.files.items()}


def push_to_hub(args: PublishArgs, publication: Publication) -> str | None:
    """Push what was published, if the configuration names a hub: the same layout as the root.

    Returns:
        Address of the commit; None without a hub.

    Raises:
        training.publishing.hub.HubError: the hub refused.
    """
    if args.hub is None:
        return None
    cards = [key for key in publication.files if key.endswith(f"/{CARD_NAME}")]
    files = {CARD_NAME: publication.files[cards[0]], **publication.files}
    names = ", ".join(map(str, (publication.checkpoint, *publication.voices)))
    return push(args.hub, files, f"Publish {names}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _root(text: str) -> str:
    """An address as it is, a folder as an absolute one."""
    return text if "://" in text else str(Path(text).resolve())


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.publish", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--root", help="storage root, instead of that of the configuration")
    given = parser.parse_args(arguments)
    try:
        args = read_config(given.config, PublishArgs)
        root = given.root or args.root
        if root is None:
            raise ConfigError("name a storage root, in the configuration or with --root")
        torch.set_num_threads(args.num_threads)
        open_encoder = encoder_opener(args.hubert_folder, args.num_threads)
        publication = publish(args, open_store(_root(root)), open_encoder)
        print(f"weights {publication.checkpoint}")
        for voice in publication.voices:
            print(f"voice {voice}")
        if not publication.is_new:
            print("all of it was published before; nothing was written")
        if commit := push_to_hub(args, publication):
            print(f"pushed: {commit}")
    except (ValueError, OSError, AssetError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
