"""A small GPT-SoVITS checkpoint with random weights, and voices of it, in the published layout.

    store = FolderStore(tmp_path)
    publish_checkpoint(store, "small")              # checkpoints/small/1
    publish_voice(store, "alto", "small@1", seed=1)  # voices/alto/1: neutral and happiness clips

They sound like nothing, and everything about serving them is as with real ones.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import soundfile
import torch

from models.checkpoints import Checkpoint, Kind, write_native
from models.gpt_sovits.pipeline import ReferenceFeatures
from models.gpt_sovits.published import (
    EmotionName,
    PublishedCheckpoint,
    PublishedReference,
    PublishedSampling,
    PublishedVoice,
    features_to_bytes,
    to_json,
)
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s2.config import S2Config
from models.storage import FolderStore
from tests.unit.s2.voices import small_voice

CREATED_AT = "2026-11-22T00:00:00.000Z"
TRANSCRIPT = "안녕하세요."

S1 = S1Config(
    num_semantic_tokens=64, bert_dim=8, hidden_dim=32, num_heads=2, num_layers=2,
    feed_forward_dim=64,
)  # fmt: skip
S2 = S2Config(
    latent_channels=24,
    hidden_channels=32,
    filter_channels=48,
    num_layers=2,
    ssl_dim=512,  # whisper-base
    codebook_size=64,
    speaker_dim=48,
    mrte_channels=48,
    reference_channels=16,
    posterior_layers=2,
    upsample_channels=64,
)


def publish_checkpoint(
    store: FolderStore,
    checkpoint_id: str,
    version: str = "1",
    seed: int = 0,
    sampling: PublishedSampling | None = None,
) -> str:
    """Write a random S1 and S2; another seed gives an S1 that says something else.

    Returns:
        `id@version`.
    """
    prefix = f"checkpoints/{checkpoint_id}"
    folder = store.path(f"{prefix}/{version}")
    folder.mkdir(parents=True, exist_ok=True)
    write_native(folder / "s1.json", Checkpoint(Kind.S1, S1, random_s1(seed).state_dict()))
    write_native(folder / "s2.json", Checkpoint(Kind.S2, S2, small_voice(config=S2).state_dict()))
    checkpoint = PublishedCheckpoint(
        checkpoint_id, version, "gpt_sovits_v2", "whisper-base", "random weights", "Apache-2.0",
        CREATED_AT, metrics={}, sampling=sampling or PublishedSampling(),
    )  # fmt: skip
    store.write(f"{prefix}/{version}/checkpoint.json", to_json(checkpoint))
    store.write(f"{prefix}/current.json", json.dumps({"version": version}).encode())
    return f"{checkpoint_id}@{version}"


def publish_endless_checkpoint(store: FolderStore) -> str:
    """`endless@1`, whose S1 never draws its end token: segments last as long as they may."""
    reference = publish_checkpoint(store, "endless")
    state = random_s1(seed=0).state_dict()
    # One channel that is always large, by which the end token alone is put off.
    last = f"layers.{S1.num_layers - 1}.feed_forward_norm"
    state[f"{last}.weight"][0] = 0.0
    state[f"{last}.bias"][0] = 1.0
    state["output.weight"][:, 0] = 0.0
    state["output.weight"][S1.end_token, 0] = -1000.0
    path = store.path("checkpoints/endless/1/s1.json")
    write_native(path, Checkpoint(Kind.S1, S1, state))
    return reference


def random_s1(seed: int) -> Text2Semantic:
    """Random weights, with an output layer steep enough to prefer some tokens."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Text2Semantic(S1).eval()
    with torch.no_grad():
        network.output.weight.mul_(4.0)
    return network


def publish_voice(
    store: FolderStore, voice_id: str, checkpoint: str, version: str = "1", seed: int = 0
) -> None:
    """Write a voice with a neutral and a happy reference; the seed makes its timbre and prompts."""
    prefix = f"voices/{voice_id}"
    emotions: tuple[EmotionName, ...] = ("neutral", "happiness")
    references = []
    for idx, emotion in enumerate(emotions):
        reference = PublishedReference(
            clip=f"reference-{idx}.flac",
            transcript=TRANSCRIPT,
            language="ko",
            emotions={emotion: 1.0},
            features=f"reference-{idx}.safetensors",
        )
        folder = f"{prefix}/{version}"
        features = features_to_bytes(random_features(10 * seed + idx))
        store.write(f"{folder}/{reference.features}", features)
        store.write(f"{folder}/{reference.clip}", _noise_clip(10 * seed + idx))
        references.append(reference)
    voice = PublishedVoice(
        voice_id, version, "gpt_sovits", "ko", "random weights", "Apache-2.0", CREATED_AT,
        checkpoint, tuple(references), consent=None, owner=None, training=None,
    )  # fmt: skip
    store.write(f"{prefix}/{version}/voice.json", to_json(voice))
    store.write(f"{prefix}/current.json", json.dumps({"version": version}).encode())


def random_features(seed: int) -> ReferenceFeatures:
    """A speaker and a prompt of 12 phonemes and 20 tokens."""
    generator = torch.Generator().manual_seed(seed)
    return ReferenceFeatures(
        speaker=torch.randn(S2.speaker_dim, generator=generator),
        prompt_phoneme_ids=torch.randint(S1.num_phonemes, (12,), generator=generator),
        prompt_tokens=torch.randint(S1.num_semantic_tokens, (20,), generator=generator),
    )


def publish_small_voices(root: Path) -> FolderStore:
    """A storage root with the checkpoint `small@1` and its two voices `alto` and `tenor`."""
    store = FolderStore(root)
    checkpoint = publish_checkpoint(store, "small")
    publish_voice(store, "alto", checkpoint, seed=1)
    publish_voice(store, "tenor", checkpoint, seed=2)
    return store


def _noise_clip(seed: int) -> bytes:
    noise = np.random.default_rng(seed).normal(0, 0.05, 3 * 16_000).astype(np.float32)
    flac = io.BytesIO()
    soundfile.write(flac, noise, 16_000, format="FLAC")
    return flac.getvalue()
