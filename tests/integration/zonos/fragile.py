"""Zonos' stages that die in the middle of their work when a test wants it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator

import ray

from deployments.engine.speech.zonos_protocol import CodeRequest, CodeWindow, FrameChunk, Waveform
from deployments.zonos_backbone import ZonosBackbone
from deployments.zonos_decoder import ZonosDecoder
from tests.integration.speech.fragile import SIGNALS


class FragileBackbone(ZonosBackbone):
    """Hands over a few frames at a time and may die after the first few."""

    async def generate(self, request: CodeRequest) -> AsyncGenerator[FrameChunk]:
        signals = ray.get_actor(SIGNALS)
        is_doomed = await signals.begin.remote("ZonosBackbone", request)
        async for chunk in super().generate(request):
            yield chunk
            if is_doomed:
                await signals.wait_until_heard.remote("ZonosBackbone")
                os._exit(1)


class FragileZonosDecoder(ZonosDecoder):
    """May die instead of decoding a window."""

    async def decode(self, window: CodeWindow) -> Waveform:
        if await ray.get_actor(SIGNALS).begin.remote("ZonosDecoder", window):
            os._exit(1)
        return await super().decode(window)
