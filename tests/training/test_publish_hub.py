"""What is pushed to a model hub, and what is never said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from models.storage import FolderStore
from tests.training.fake_hub import FakeHub, fake_hub
from tests.training.published_runs import open_encoder, publish_args, write_runs
from training.publish import publish, push_to_hub
from training.publishing.config import HubArgs
from training.publishing.hub import HubError, push

TOKEN = "hf_secret0123456789"

# The client of the hub hands httpx its files in a way that httpx no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the fake hub speaks LFS alone
    with fake_hub(TOKEN) as running:
        yield running


def _args(hub: FakeHub) -> HubArgs:
    return HubArgs(repository="somebody/small", endpoint=hub.endpoint)


def test_repository_holds_what_the_root_holds(hub: FakeHub, tmp_path: Path) -> None:
    write_runs(tmp_path)
    args = publish_args(tmp_path, hub={"repository": "somebody/small", "endpoint": hub.endpoint})
    root = tmp_path / "root"
    publication = publish(args, FolderStore(root), open_encoder)

    address = push_to_hub(args, publication)

    assert address == f"{hub.endpoint}/somebody/small/commit/1"
    stored = {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != "current.json"
    }
    card = stored["checkpoints/small/1/README.md"]
    assert hub.files == stored | {"README.md": card}
    assert hub.repositories == {"somebody/small": True}
    assert hub.messages == ["Publish small@1, noise@1"]


def test_refused_token_is_not_repeated(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong9876543210")
    with pytest.raises(HubError, match="was not pushed") as refused:
        push(_args(hub), {"README.md": b"hello"}, "Publish")
    captured = capfd.readouterr()
    assert "hf_wrong9876543210" not in f"{refused.value}{captured.out}{captured.err}"
    assert hub.files == {}


def test_without_token_nothing_is_sent(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="set HF_TOKEN"):
        push(_args(hub), {"README.md": b"hello"}, "Publish")
    assert hub.repositories == {}
