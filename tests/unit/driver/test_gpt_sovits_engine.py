"""How loud a voice speaks is measured once, by stages that are made up here."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.driver.catalog import Catalog, Style, Voice
from deployments.driver.gpt_sovits_engine import GptSovitsEngine
from deployments.driver.request_context import current_request_id, enter_request
from deployments.engine.speech.protocol import TokenChunk
from deployments.errors import NotReady
from deployments.messages import PronouncedSegment
from deployments.text_frontend import analyze
from tests.gpt_sovits_store import publish_small_voices


class Answer:
    """What a call gives: one item, as a stream or by itself."""

    def __init__(self, item: Any) -> None:
        self._item = item

    async def __aiter__(self) -> AsyncIterator[Any]:
        yield self._item

    def __await__(self) -> Generator[Any, None, Any]:
        yield from asyncio.sleep(0).__await__()
        if isinstance(self._item, BaseException):
            raise self._item
        return self._item

    def cancel(self) -> None:
        """It has ended already."""


class Stage:
    """A handle with one method, of any name, that answers as it is told."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self._answer = answer

    def options(self, **options: Any) -> "Stage":
        return self

    def __getattr__(self, method: str) -> "Stage":
        return self

    def remote(self, *args: Any) -> Answer:
        return Answer(self._answer(*args))


class Frontend:
    """Reads a text, after the failures it was given; notes for which request."""

    def __init__(self, *failures: BaseException) -> None:
        self._failures = list(failures)
        self.request_ids: list[str] = []

    def analyze(self, *args: Any) -> list[PronouncedSegment] | BaseException:
        self.request_ids.append(current_request_id())
        return self._failures.pop(0) if self._failures else analyze(*args)


def engine_over(catalog: Catalog, frontend: Frontend) -> GptSovitsEngine:
    tone = np.sin(np.arange(32_000, dtype=np.float32))
    return GptSovitsEngine(
        Stage(lambda request: TokenChunk((1, 2, 3), "stop")),  # type: ignore[arg-type]
        Stage(lambda request: tone),  # type: ignore[arg-type]
        Stage(frontend.analyze),  # type: ignore[arg-type]
        catalog,
    )


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog([publish_small_voices(tmp_path)])


@pytest.fixture
def voice(catalog: Catalog) -> Voice:
    return catalog.voice("alto")


@pytest.fixture
def style(voice: Voice) -> Style:
    return voice.style("ko", "neutral", 1.0, seed=1)


def test_all_who_wait_share_one_measurement(catalog: Catalog, voice: Voice, style: Style) -> None:
    frontend = Frontend()

    async def scenario() -> None:
        engine = engine_over(catalog, frontend)
        await asyncio.gather(*(engine.prepare(voice, style) for _ in range(3)))
        await engine.prepare(voice, style)

    asyncio.run(scenario())
    assert len(frontend.request_ids) == 1


@pytest.mark.parametrize("failure", [NotReady("away"), asyncio.CancelledError()])
def test_a_measurement_that_failed_or_was_cancelled_is_made_again(
    catalog: Catalog, voice: Voice, style: Style, failure: BaseException
) -> None:
    frontend = Frontend(failure)

    async def scenario() -> None:
        engine = engine_over(catalog, frontend)
        with pytest.raises(type(failure)):
            await engine.prepare(voice, style)
        await engine.prepare(voice, style)

    asyncio.run(scenario())
    assert len(frontend.request_ids) == 2


def test_a_failure_is_not_kept_for_the_next_when_nobody_waited_for_it(
    catalog: Catalog, voice: Voice, style: Style
) -> None:
    frontend = Frontend(NotReady("away"))

    async def scenario() -> None:
        engine = engine_over(catalog, frontend)
        left = asyncio.create_task(engine.prepare(voice, style))
        await asyncio.sleep(0)
        left.cancel()
        while not frontend.request_ids:
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        await engine.prepare(voice, style)

    asyncio.run(scenario())
    assert len(frontend.request_ids) == 2


def test_a_measurement_belongs_to_no_request(catalog: Catalog, voice: Voice, style: Style) -> None:
    frontend = Frontend()

    async def scenario() -> None:
        enter_request("the-first-listener")
        await engine_over(catalog, frontend).prepare(voice, style)

    asyncio.run(scenario())
    assert frontend.request_ids == ["-"]
