"""A character's line, read sentence by sentence while the model is writing it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deployments.driver.sentences import SentenceStream
from deployments.engine.persona.protocol import LineDone, LineEvent
from deployments.errors import GenerationFailed


class WrittenLine:
    """Passes on the sentences of a line and keeps how it ended.

    Args:
        events: what the persona engine yields.
    """

    def __init__(self, events: AsyncIterator[LineEvent]) -> None:
        self._events = events
        self._done: LineDone | None = None

    @property
    def done(self) -> LineDone:
        """How the line ended.

        Raises:
            GenerationFailed: it has not ended.
        """
        if self._done is None:
            raise GenerationFailed("the persona's line broke off")
        return self._done

    async def sentences(self) -> AsyncIterator[str]:
        """The sentences, each as soon as it is complete."""
        stream = SentenceStream()
        async for event in self._events:
            if isinstance(event, LineDone):
                self._done = event
                continue
            for sentence in stream.feed(event.text):
                yield sentence
        for sentence in stream.flush():
            yield sentence
