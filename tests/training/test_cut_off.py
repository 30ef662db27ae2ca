"""Each shipped voice speaks 200 texts, emotions in turn: none ends in the middle of a sound."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import pytest

from models import assets
from models.kokoro.__main__ import embedded_voice
from models.kokoro.model import SAMPLE_RATE
from models.kokoro.pipeline import KokoroEngine, speak
from training.evaluation.config import read_lines
from training.evaluation.faults import find_faults

DATA = Path(__file__).parents[2] / "training" / "corpus" / "data"
NUM_TEXTS = 200


@pytest.mark.slow
@pytest.mark.parametrize("voice_id", ["bujang", "sinip"])
def test_no_synthesis_is_cut_off_or_broken(voice_id: str) -> None:
    assets.ensure(assets.KOKORO)
    engine, voice = KokoroEngine(), embedded_voice(voice_id)
    texts = [*read_lines(DATA / "everyday.txt"), *read_lines(DATA / "sentences.txt")][:NUM_TEXTS]
    assert len(texts) == NUM_TEXTS
    faulty = {
        text: faults
        for text, emotion in zip(texts, cycle(sorted(voice.variants)), strict=False)
        if (faults := find_faults(speak(text, voice, engine, emotion), SAMPLE_RATE))
    }
    assert not faulty
