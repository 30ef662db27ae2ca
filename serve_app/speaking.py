"""A text spoken for a listener: admitted, analysed, spoken, measured."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np
from numpy.typing import NDArray

from deployments.driver.catalog import Style, Voice
from deployments.driver.iteration import each
from serve_app.admission import estimated_audio_s
from serve_app.edge import Edge


async def spoken(
    edge: Edge, text: str, voice: Voice, style: Style, *, route: str, sample_rate: int
) -> AsyncGenerator[NDArray[np.float32]]:
    """Waveforms of a text, to be played one after the other.

    Everything that is held for the listener is let go when the iterator is closed.

    Args:
        route: for the metrics.
        sample_rate: Hz, of the waveforms.

    Raises:
        Overloaded: too much is queued; no stage has been called.
        InvalidInput: the text can't be spoken.
    """
    with edge.admission.admitted(estimated_audio_s(text)) as ticket:
        segments = await edge.speech.analyze(text, style)
        waveforms = edge.speech.say(each(segments), voice, style, sample_rate, route=route)
        async with aclosing(ticket.counting(waveforms, sample_rate)) as counted:
            async for waveform in counted:
                yield waveform
