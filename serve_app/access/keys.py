"""API keys: a name and the SHA-256 of a secret that only its holder knows.

A key reads `bw_` and 43 random characters; 256 random bits need no slow hash. What is kept, in a
file or in the environment, is `name:sha256`, so that neither gives a key away.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "bw_"
_ENTRY = re.compile(r"([a-z0-9][a-z0-9_-]{0,63}):([0-9a-f]{64})")
_MAX_TOKEN_CHARS = 128


class InvalidKeys(ValueError):
    """A list of keys, or the name of one, can't be used."""


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key: `name` stands in records as their owner."""

    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}:{self.sha256}"


def new_key(name: str) -> tuple[ApiKey, str]:
    """A fresh key called `name`, and the secret token that is shown once.

    Raises:
        InvalidKeys: the name is not 1 to 64 of a-z 0-9 _ -.
    """
    token = _PREFIX + secrets.token_urlsafe(32)
    return parse_key(f"{name}:{_sha256(token)}"), token


def parse_key(entry: str) -> ApiKey:
    """Read `name:sha256`; `InvalidKeys` if it is anything else."""
    match = _ENTRY.fullmatch(entry)
    if match is None:
        # The entry itself is not repeated: it may be a token put there by mistake.
        raise InvalidKeys(
            "an entry is not name:sha256, with a name of 1 to 64 of a-z 0-9 _ -; "
            "make one with: python -m serve_app.access new NAME"
        )
    return ApiKey(*match.groups())


class KeyFile:
    """Keys in a file, one a line; lines that start with # are notes. Read again when it changes.

    Args:
        path: absolute; a file that is not there holds no key.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_at: int | None = None
        self._keys: tuple[ApiKey, ...] = ()

    def keys(self) -> tuple[ApiKey, ...]:
        """The keys as they are now.

        Raises:
            InvalidKeys: a line is no key.
        """
        try:
            changed_at = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            self._read_at, self._keys = None, ()
            return ()
        if changed_at != self._read_at:
            lines = (line.strip() for line in self.path.read_text().splitlines())
            self._keys = tuple(
                parse_key(line) for line in lines if line and not line.startswith("#")
            )
            self._read_at = changed_at
        return self._keys

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Write the file anew, as a whole, readable by its owner alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".", dir=self.path.parent)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{key}\n" for key in keys)
        os.replace(name, self.path)


class KeyRing:
    """All keys that are accepted.

    Args:
        entries: keys that stay as they are, from the environment.
        file: keys that may change while the service runs.
    """

    def __init__(self, entries: Iterable[ApiKey], file: KeyFile | None) -> None:
        self._entries = tuple(entries)
        self._file = file

    @property
    def is_empty(self) -> bool:
        """Whether no key has ever been asked for; a key file, even an empty one, asks for keys."""
        return not self._entries and self._file is None

    def find(self, token: str) -> ApiKey | None:
        """The key that `token` is the secret of; the time taken tells nothing of the keys."""
        digest = _sha256(token[:_MAX_TOKEN_CHARS])
        found = None
        for key in self._entries + (self._file.keys() if self._file else ()):
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def key_ring(entries: str, path: Path | None) -> KeyRing:
    """All keys that the environment names.

    Args:
        entries: `name:sha256` each, separated by spaces or commas.
        path: file of further ones.

    Raises:
        InvalidKeys: an entry is no key.
    """
    file = KeyFile(path) if path is not None else None
    if file is not None:
        file.keys()  # a broken file is found at start, not by the first caller
    return KeyRing(map(parse_key, entries.replace(",", " ").split()), file)
