"""The shipped GPT-SoVITS weights say what they said when they were published.

python -m tests.training.test_shipped_voice      writes the expectation anew, after publishing
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from models.gpt_sovits.pipeline import SpeechRequest, semantic_request
from models.gpt_sovits.s1.generation import generate
from models.gpt_sovits.s2.decoding import decode
from models.gpt_sovits.s2.segment import Segment
from models.storage import embedded_store
from models.text.frontend import analyze
from training.evaluation.speakers import GptSovitsSpeaker, LocalVoices

VOICE = "bujang-sovits@1"
TEXT = "오늘 점심은 제가 살게요."
EXPECTED = Path(__file__).with_name("shipped_voice.npz")
SEED = 7


def shipped() -> GptSovitsSpeaker:
    voice = LocalVoices([embedded_store()]).open(VOICE)
    assert isinstance(voice, GptSovitsSpeaker)
    return voice


@torch.no_grad()
def spoken(tokens: torch.Tensor | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the text, and the waveform of them, or of the tokens that are given."""
    voice = shipped()
    (text,) = analyze(TEXT, "ko")
    phoneme_ids = torch.tensor(text.phoneme_ids)
    asked = SpeechRequest(phoneme_ids, voice.reference, SEED, voice.sampling.tokens())
    request = semantic_request(voice.decoder, asked)
    drawn = generate(voice.decoder, request).tokens
    tokens = drawn if tokens is None else tokens
    noise_scale = voice.sampling.noise_scale
    segment = Segment(tokens, phoneme_ids, voice.reference.speaker, SEED, noise_scale=noise_scale)
    (waveform,) = decode(voice.synthesizer, [segment])
    return drawn.numpy(), waveform.numpy()


def test_shipped_weights_say_what_they_said() -> None:
    with np.load(EXPECTED) as expected:
        tokens, waveform = spoken(torch.from_numpy(expected["tokens"]))
        assert tokens.tolist() == expected["tokens"].tolist()
        assert len(waveform) == len(expected["waveform"])
        assert np.abs(waveform - expected["waveform"].astype(np.float32)).max() < 5e-3


if __name__ == "__main__":
    made_tokens, made_waveform = spoken()
    np.savez_compressed(EXPECTED, tokens=made_tokens, waveform=made_waveform.astype(np.float16))
