"""Fetches weights from a model hub, pinned to a commit and checked by SHA-256, and pins new ones.

    python fetch_weights.py weights.json /models
    python fetch_weights.py --pin yanolja/EEVE-Korean-Instruct-10.8B-v1.0 weights.json

`weights.json` maps repository names to their pins:

    {"organisation/name": {"revision": "<commit>", "files": {"model.safetensors": "<sha256>", …}}}

The files go to ROOT/name, a folder that appears as a whole or not at all and says in REVISION which
commit it is. `--pin` looks up the newest commit and downloads once, to write the pin; afterwards
nothing else is accepted. Files that would run when loaded (.bin, .pt, .py) are never fetched. A
token for private repositories is read from HF_TOKEN.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download

_WANTED = re.compile(r"[\w.-]+\.(safetensors|json|model|txt|jinja)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = "REVISION"


class WeightsError(ValueError):
    """A list of weights can't be used, or what was fetched is not what the list says."""


@dataclass(frozen=True)
class Pin:
    """One repository at one commit: the SHA-256 of every file that is wanted of it."""

    revision: str
    files: dict[str, str]

    @classmethod
    def from_json(cls, repository: str, document: object) -> Pin:
        """Check a pin of the list.

        Raises:
            WeightsError: something is missing, or is not what it should be.
        """
        if not isinstance(document, dict) or set(document) != {"revision", "files"}:
            raise WeightsError(f"{repository}: a pin has `revision` and `files`, and nothing else")
        revision, files = document["revision"], document["files"]
        if not isinstance(revision, str) or not _COMMIT.fullmatch(revision):
            raise WeightsError(f"{repository}: the revision must be a commit, got {revision!r}")
        if not isinstance(files, dict) or not files:
            raise WeightsError(f"{repository}: no files are listed")
        for name, sha256 in files.items():
            if not _WANTED.fullmatch(name):
                raise WeightsError(f"{repository}: {name!r} is not a kind of file that is fetched")
            if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
                raise WeightsError(f"{repository}: {name} has no SHA-256, got {sha256!r}")
        return cls(revision, files)


def read_pins(path: Path) -> dict[str, Pin]:
    """The list's repositories and their pins.

    Raises:
        WeightsError: the list can't be used; says why.
    """
    try:
        document = json.loads(path.read_text())
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise WeightsError(f"{path}: must be an object of repositories")
    return {name: Pin.from_json(name, pin) for name, pin in document.items()}


def fetch(repository: str, pin: Pin, root: Path) -> Path:
    """Put the files of a repository in place, unless they are there already.

    Raises:
        WeightsError: the bytes that were fetched are not the pinned ones.
    """
    folder = root / repository.split("/")[-1]
    if (folder / _REVISION).is_file() and (folder / _REVISION).read_text() == pin.revision:
        return folder
    root.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=root))
    try:
        for name, sha256 in pin.files.items():
            _check(_download(repository, name, pin.revision, staging), sha256)
        shutil.rmtree(staging / ".cache", ignore_errors=True)  # the hub client's own notes
        (staging / _REVISION).write_text(pin.revision)
        staging.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)  # another commit's
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def pin_newest(repository: str) -> Pin:
    """Pin a repository at its newest commit, by what it holds now."""
    info = HfApi().model_info(repository)
    revision = str(info.sha)
    names = [file.rfilename for file in info.siblings or [] if _WANTED.fullmatch(file.rfilename)]
    with tempfile.TemporaryDirectory(prefix="weights-") as folder:
        files = {}
        for name in sorted(names):
            path = _download(repository, name, revision, Path(folder))
            files[name] = _sha256(path)
            path.unlink()
    return Pin(revision, files)


def _download(repository: str, name: str, revision: str, folder: Path) -> Path:
    print(f"fetching {repository} {name}", flush=True)
    return Path(hf_hub_download(repository, name, revision=revision, local_dir=folder))


def _check(path: Path, sha256: str) -> None:
    found = _sha256(path)
    if found != sha256:
        raise WeightsError(f"{path.name}: SHA-256 is {found}, expected {sha256}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Fetch everything on the list, or pin one repository; return the exit status."""
    parser = argparse.ArgumentParser(prog="fetch_weights.py", description=__doc__)
    parser.add_argument("--pin", metavar="REPOSITORY", help="write this repository's pin")
    parser.add_argument("list", type=Path, help="weights.json")
    parser.add_argument("root", type=Path, nargs="?", help="folder of the weights")
    given = parser.parse_args(arguments)
    if (given.pin is None) == (given.root is None):
        parser.error("name either a folder to fetch into, or a repository to --pin")
    try:
        pins = read_pins(given.list)
        if given.pin is not None:
            pin = pin_newest(given.pin)
            entries = {name: vars(each) for name, each in (pins | {given.pin: pin}).items()}
            given.list.write_text(json.dumps(entries, indent=2) + "\n")
        else:
            for repository, pin in pins.items():
                print(fetch(repository, pin, given.root), flush=True)
    except WeightsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
