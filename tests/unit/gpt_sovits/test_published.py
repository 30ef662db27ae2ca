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
from models.gpt_sovits.s1.sampling import SamplingSettings

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
    "sampling": {
        "top_k": 5,
        "top_p": 0.9,
        "temperature": 0.7,
        "repetition_penalty": 1.0,
        "noise_scale": 0.2,
    },
}


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def test_documents_round_trip() -> None:
    assert json.loads(to_json(voice_from_json(encoded(VOICE)))) == VOICE
    assert json.loads(to_json(checkpoint_from_json(encoded(CHECKPOINT)))) == CHECKPOINT


def test_weights_that_say_nothing_are_drawn_from_as_the_reference_does() -> None:
    silent = {name: value for name, value in CHECKPOINT.items() if name != "sampling"}
    sampling = checkpoint_from_json(encoded(silent)).sampling
    assert (sampling.tokens(), sampling.noise_scale) == (SamplingSettings(), 0.5)


@pytest.mark.parametrize(
    "sampling",
    [
        {"top_k": 0},
        {"top_k": None, "top_p": 0.0},
        {"temperature": -1.0},
        {"repetition_penalty": 1e9},
        {"noise_scale": -0.1},
        {"noise_scale": 1e300},
        {"noise_scale": 1e400},
        {"min_p": 0.1},
        None,
    ],
)
def test_weights_that_ask_for_the_impossible_are_refused(sampling: object) -> None:
    with pytest.raises(PublishedError):
        checkpoint_from_json(encoded(CHECKPOINT | {"sampling": sampling}))


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
