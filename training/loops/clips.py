"""What training needs of a clip, and which clips are kept away from it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol, TypeVar

from torch import Tensor

from training.loops.strict import ConfigError


class Clip(Protocol):
    """An utterance; `training.data.prepared.PreparedClip` is one."""

    @property
    def name(self) -> str: ...
    @property
    def speaker(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def phoneme_ids(self) -> list[int]: ...
    @property
    def semantic_tokens(self) -> list[int]: ...
    @property
    def duration_s(self) -> float: ...
    @property
    def is_augmented(self) -> bool:
        """A disturbed copy, which is no target of sound."""
        ...

    def waveform(self) -> Tensor:
        """(samples,) float32 at 32 kHz."""
        ...

    def ssl_features(self) -> Tensor:
        """(frame, ssl_dim) float32 at 50 Hz."""
        ...


AnyClip = TypeVar("AnyClip", bound=Clip)


def of_speakers(clips: Sequence[AnyClip], speakers: Sequence[str] | None) -> list[AnyClip]:
    """The clips of some speakers; all for None.

    Raises:
        ConfigError: a speaker has no clip.
    """
    if speakers is None:
        return list(clips)
    found = {clip.speaker for clip in clips}
    if missing := set(speakers) - found:
        raise ConfigError(f"no clip of {sorted(missing)}; the data has {sorted(found)}")
    return [clip for clip in clips if clip.speaker in speakers]


def split(clips: Sequence[AnyClip], share: float) -> tuple[list[AnyClip], list[AnyClip]]:
    """Training and held-out clips.

    The choice follows from a clip's text alone: a sentence that several speakers say is on one side
    with all of them, and stays there when the data grows.

    Raises:
        ConfigError: fewer than two different sentences.
    """
    places = {clip.text: _place(clip.text) for clip in clips}
    if len(places) < 2:
        raise ConfigError(f"{len(places)} different sentences; training needs 2 or more")
    # In a small set perhaps none lies below the share.
    threshold = max(share, min(places.values()))
    training = [clip for clip in clips if places[clip.text] > threshold]
    held_out = [clip for clip in clips if places[clip.text] <= threshold]
    if not training:
        raise ConfigError("all sentences are held out; lower validation.share")
    return training, held_out


def _place(text: str) -> float:
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
