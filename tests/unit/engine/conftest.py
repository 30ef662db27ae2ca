"""A store with two small checkpoints, and the networks of their single-request path."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from deployments.engine.speech.checkpoint_files import CheckpointFiles
from models.checkpoints import Checkpoint, Kind, write_native
from models.gpt_sovits.published import PublishedSampling
from models.storage import FolderStore
from tests.gpt_sovits_store import S1, S2, publish_checkpoint, random_s1
from tests.unit.s2.voices import small_voice


@pytest.fixture(scope="session")
def checkpoint_files(tmp_path_factory: pytest.TempPathFactory) -> CheckpointFiles:
    """`first@1` and `second@1`, which say different things."""
    store = FolderStore(tmp_path_factory.mktemp("store"))
    publish_checkpoint(store, "first", seed=0)
    publish_checkpoint(store, "second", seed=1)
    return CheckpointFiles([store])


@pytest.fixture(scope="session")
def tuned_files(tmp_path_factory: pytest.TempPathFactory) -> CheckpointFiles:
    """The weights of `first@1` as `tuned@1`, which asks for the likeliest token and no noise."""
    store = FolderStore(tmp_path_factory.mktemp("tuned"))
    sampling = PublishedSampling(top_k=1, repetition_penalty=1.0, noise_scale=0.0)
    publish_checkpoint(store, "tuned", seed=0, sampling=sampling)
    return CheckpointFiles([store])


@pytest.fixture
def damaged_files(tmp_path: Path) -> CheckpointFiles:
    """`damaged@1`, whose weights are cut off."""
    store = FolderStore(tmp_path)
    publish_checkpoint(store, "damaged")
    for stage in ("s1", "s2"):
        store.write(f"checkpoints/damaged/1/{stage}.safetensors", b"half")
    return CheckpointFiles([store])


@pytest.fixture
def stuck_files(tmp_path: Path) -> CheckpointFiles:
    """`stuck@1`, whose S1 says token 7 whatever it is asked."""
    store = FolderStore(tmp_path)
    publish_checkpoint(store, "stuck")
    network = random_s1(0)
    state = network.state_dict()
    last = f"layers.{S1.num_layers - 1}.feed_forward_norm"
    state[f"{last}.weight"].zero_()
    state[f"{last}.bias"].fill_(1.0)
    state["output.weight"].zero_()
    state["output.weight"][7] = 1.0
    write_native(store.path("checkpoints/stuck/1/s1.json"), Checkpoint(Kind.S1, S1, state))
    return CheckpointFiles([store])


@pytest.fixture
def overflowing_files(tmp_path: Path) -> CheckpointFiles:
    """`overflowing@1`, whose S2 has finite weights and speaks what is no number."""
    store = FolderStore(tmp_path)
    publish_checkpoint(store, "overflowing")
    state = small_voice(config=S2).state_dict()
    # Sums of both signs, each beyond float32.
    state["generator.conv_pre.weight"].fill_(3e38)
    state["generator.conv_pre.weight"][:, ::2].neg_()
    path = store.path("checkpoints/overflowing/1/s2.json")
    write_native(path, Checkpoint(Kind.S2, S2, state))
    return CheckpointFiles([store])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
