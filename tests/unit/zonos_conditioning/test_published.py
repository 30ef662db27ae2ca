"""Documents of Zonos checkpoints and voices, and a speaker as bytes."""

import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import save

from models.gpt_sovits.published import PublishedError
from models.zonos.published import (
    PublishedZonosCheckpoint,
    PublishedZonosVoice,
    speaker_from_bytes,
    speaker_to_bytes,
    to_json,
    zonos_checkpoint_from_json,
    zonos_voice_from_json,
)

VOICE = PublishedZonosVoice(
    voice_id="narrator",
    version="1",
    engine="zonos",
    language="ko",
    description="",
    licence="Apache-2.0",
    created_at="2026-11-22T00:00:00Z",
    checkpoint="zonos@1",
    clip="reference-0.flac",
    speaker="reference-0.safetensors",
    consent=None,
    owner=None,
)
CHECKPOINT = PublishedZonosCheckpoint(
    checkpoint_id="zonos",
    version="1",
    family="zonos_v0_1",
    description="",
    licence="Apache-2.0",
    created_at="2026-11-22T00:00:00Z",
)


def test_documents_are_read_as_they_were_written() -> None:
    assert zonos_voice_from_json(to_json(VOICE)) == VOICE
    assert zonos_checkpoint_from_json(to_json(CHECKPOINT)) == CHECKPOINT


def test_a_field_too_many_or_of_another_engine_is_refused() -> None:
    with pytest.raises(PublishedError, match="mood"):
        zonos_voice_from_json(json.dumps({**asdict(VOICE), "mood": "good"}).encode())
    with pytest.raises(PublishedError, match="engine"):
        zonos_voice_from_json(json.dumps({**asdict(VOICE), "engine": "kokoro"}).encode())


def test_a_speaker_is_read_as_it_was_written() -> None:
    speaker = torch.linspace(-3, 3, 128)
    assert torch.equal(speaker_from_bytes(speaker_to_bytes(speaker)), speaker)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x" * 2**17,
        save({"speaker": torch.zeros(256)}),
        save({"speaker": torch.full((128,), torch.nan)}),
        save({"speaker": torch.zeros(128), "other": torch.zeros(1)}),
        save({"embedding": torch.zeros(128)}),
    ],
)
def test_what_is_no_speaker_is_refused(content: bytes) -> None:
    with pytest.raises(PublishedError):
        speaker_from_bytes(content)
