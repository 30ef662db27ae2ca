import json

import pytest
import torch
from safetensors.torch import save

from models.gpt_sovits.pipeline import ReferenceFeatures
from models.gpt_sovits.published import (
    PublishedError,
    checkpoint_from_json,
    features_from_bytes,
    features_to_bytes,
    to_json,
    voice_from_json,
)

VOICE = {
    "voice_id": "narrator",
    "version": "1",
    "engine": "gpt_sovits",
    "language": "ko",
    "description": "",
    "licence": "Apache-2.0",
    "created_at": "2026-11-22T00:00:00.000Z",
    "checkpoint": "small@1",
    "references": [
        {
            "clip": "reference-0.flac",
            "transcript": "안녕하세요.",
            "language": "ko",
            "emotions": {"neutral": 1.0},
            "features": "reference-0.safetensors",
        }
    ],
    "consent": {"given": True, "at": "2026-11-22T00:00:00.000Z"},
    "owner": None,
    "training": None,
}
CHECKPOINT = {
    "checkpoint_id": "small",
    "version": "1",
    "family": "gpt_sovits_v2",
    "ssl": "whisper-base",
    "description": "",
    "licence": "Apache-2.0",
    "created_at": "2026-11-22T00:00:00.000Z",
    "metrics": {"cer": 0.1},
}


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def test_documents_round_trip() -> None:
    assert json.loads(to_json(voice_from_json(encoded(VOICE)))) == VOICE
    assert json.loads(to_json(checkpoint_from_json(encoded(CHECKPOINT)))) == CHECKPOINT


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"engine": "kokoro"},
        {"references": []},
        {"consent": {"given": False, "at": ""}},
        {"references": [VOICE["references"][0] | {"emotions": {"boredom": 1.0}}]},  # type: ignore[index,operator]
    ],
)
def test_a_voice_that_differs_from_the_format_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(PublishedError):
        voice_from_json(encoded(VOICE | change))


def test_features_round_trip_bit_for_bit() -> None:
    features = ReferenceFeatures(torch.randn(8), torch.arange(3), torch.arange(5))
    read = features_from_bytes(features_to_bytes(features))
    assert torch.equal(read.speaker, features.speaker)
    assert torch.equal(read.prompt_phoneme_ids, features.prompt_phoneme_ids)
    assert torch.equal(read.prompt_tokens, features.prompt_tokens)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not safetensors",
        save({"speaker": torch.zeros(3)}),
        features_to_bytes(
            ReferenceFeatures(torch.zeros(2), torch.arange(1), torch.arange(2000_000))
        ),
        save(
            {
                "speaker": torch.zeros(3, dtype=torch.float64),
                "prompt_phoneme_ids": torch.arange(2),
                "prompt_tokens": torch.arange(2),
            }
        ),
    ],
)
def test_features_that_are_none_are_refused(content: bytes) -> None:
    with pytest.raises(PublishedError):
        features_from_bytes(content)
