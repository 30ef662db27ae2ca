"""The golden root can be replaced, and what a replacement lacks comes from the default set."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.parity.fill import filler_for, state_hash
from tests.parity.golden import DEFAULT_ROOT, GoldenFolder

GOLDEN = GoldenFolder("gpt_sovits_v2")


@pytest.fixture
def other_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "gpt_sovits_v2"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"salt": "other"}))
    np.savez(folder / "vectors.npz", values=np.arange(3))
    monkeypatch.setenv("BAEWOO_GOLDEN", str(tmp_path))
    return tmp_path


def test_files_of_the_named_root_are_used_with_its_salt(other_root: Path) -> None:
    assert GOLDEN.arrays("vectors.npz")["values"].tolist() == [0, 1, 2]
    assert filler_for("vectors.npz").salt == "other"


def test_a_file_the_root_lacks_comes_from_the_default_set_with_that_sets_salt(
    other_root: Path,
) -> None:
    default_folder = DEFAULT_ROOT / "gpt_sovits_v2"
    assert GOLDEN.path("keys_s1.json") == default_folder / "keys_s1.json"
    default_manifest = json.loads((default_folder / "manifest.json").read_text())
    assert filler_for("keys_s1.json").salt == default_manifest["salt"]


def test_a_file_no_root_has_is_named_in_the_error() -> None:
    with pytest.raises(FileNotFoundError, match=r"gpt_sovits_v2/absent\.npz"):
        GOLDEN.path("absent.npz")


# Numbers from the README of the default set; they hold for the empty salt.
@pytest.mark.parametrize(
    ("keys_file", "expected"),
    [
        ("keys_s1.json", 737146833),
        ("keys_s2_g_tiny.json", 2294272726),
        ("keys_s2_g.json", 3541554090),
        ("keys_s2_d.json", 500952043),
    ],
)
def test_filled_weights_have_the_documented_hash(
    keys_file: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BAEWOO_GOLDEN", raising=False)
    state = filler_for(keys_file).state(GOLDEN.json(keys_file))
    floats = {key: tensor for key, tensor in state.items() if tensor.is_floating_point()}
    assert state_hash(floats) == expected
