"""Clips of real speech for tests, rendered once per session with the embedded voices."""

from __future__ import annotations

from functools import cache

import torch

from models.assets import KOKORO, ensure
from models.audio.load import Audio
from models.kokoro.__main__ import embedded_voice
from models.kokoro.model import SAMPLE_RATE
from models.kokoro.pipeline import KokoroEngine, speak

LINE = "오늘 회식은 제가 살 테니까 다들 일찍 끝내고 같이 나갑시다."
OTHER_LINE = "내일 아침 회의 자료는 제가 저녁까지 정리해서 보내 드릴게요."


@cache
def spoken(voice_id: str, text: str = LINE) -> Audio:
    """Some four to five seconds by an embedded Kokoro voice; leave the waveform as it is."""
    waveform = speak(text, embedded_voice(voice_id), _engine())
    return Audio(torch.from_numpy(waveform), SAMPLE_RATE)


@cache
def _engine() -> KokoroEngine:
    return KokoroEngine(ensure(KOKORO))
