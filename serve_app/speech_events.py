"""Speech as events in OpenAI's shape: `speech.audio.delta`, then `speech.audio.done`."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

from deployments.driver.iteration import closing
from deployments.problems import to_speech_error
from serve_app.problems import openai_document
from serve_app.sse import event


async def speech_events(audio: AsyncIterator[bytes], text: str) -> AsyncIterator[bytes]:
    """Pieces of the encoded audio, in order, and what was used; an `error` ends a broken stream.

    OpenAI counts tokens; here the input is counted in characters and the output in bytes.
    """
    num_bytes = 0
    try:
        async with closing(audio):
            async for piece in audio:
                num_bytes += len(piece)
                encoded = base64.b64encode(piece).decode()
                yield event({"type": "speech.audio.delta", "audio": encoded})
    except Exception as error:
        document = openai_document(to_speech_error(error), None)
        yield event({"type": "error", **document})
        return
    usage = {
        "input_tokens": len(text),
        "output_tokens": num_bytes,
        "total_tokens": len(text) + num_bytes,
    }
    yield event({"type": "speech.audio.done", "usage": usage})
