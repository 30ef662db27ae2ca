"""The early mode over stages that die: engines over small networks, behind made-up handles."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray.exceptions import RayActorError

from deployments.driver import retry, two_stages
from deployments.driver.speech_engine import Waveform
from deployments.driver.two_stages import TwoStageRequest, TwoStages
from deployments.engine.speech.checkpoint_files import CheckpointFiles
from deployments.engine.speech.protocol import EarlyRequest, SemanticRequest
from deployments.engine.speech.semantic import SemanticEngine, SemanticSettings, max_new_tokens
from deployments.engine.speech.vocoding import WaveformEngine, WaveformSettings
from deployments.errors import NotReady
from models.gpt_sovits.pipeline import SpeechRequest, speak_early
from models.storage import FolderStore
from tests.gpt_sovits_store import publish_endless_checkpoint, random_features

REQUEST = TwoStageRequest(
    checkpoint="endless@1",
    phoneme_ids=(100, 200, 300, 150, 250),
    reference=random_features(1),
    seed=1,
    speed=1.0,
)
TOKENS_PER_CHUNK = 5  # not what early mode groups them by

NO_DEATHS: dict[int, int] = {}

Answer = Callable[[Any], Any]


class Call:
    """One call, a stream or not, whose replica dies after so many items; None: it lives."""

    def __init__(self, answer: Any, num_items: int | None) -> None:
        self._answer = answer
        self._num_items = num_items

    async def __aiter__(self) -> AsyncIterator[Any]:
        num_items = 0
        async for item in self._answer:
            if num_items == self._num_items:
                break
            num_items += 1
            yield item
        if self._num_items is not None:
            raise RayActorError(error_msg="killed")

    def __await__(self) -> Generator[Any, None, Any]:
        if self._num_items is not None:
            self._answer.close()
            raise RayActorError(error_msg="killed")
        answer: Awaitable[Any] = self._answer
        return answer.__await__()

    def cancel(self) -> None:
        """Nothing is left of it."""


class Stage:
    """A handle whose calls die as they are told: call number -> items before its death."""

    def __init__(self, answer: Answer, deaths: dict[int, int]) -> None:
        self._answer = answer
        self._deaths = deaths
        self.requests: list[Any] = []

    def options(self, **options: Any) -> "Stage":
        return self

    def __getattr__(self, method: str) -> "Stage":
        return self

    def remote(self, request: Any) -> Call:
        self.requests.append(request)
        return Call(self._answer(request), self._deaths.get(len(self.requests) - 1))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CheckpointFiles:
    root: Path = tmp_path_factory.mktemp("store")
    publish_endless_checkpoint(FolderStore(root))
    return CheckpointFiles([FolderStore(root)])


@pytest.fixture(scope="module")
def uninterrupted(files: CheckpointFiles) -> list[Waveform]:
    torch.set_num_threads(1)
    chunks = speak_early(
        files.semantic_decoder(REQUEST.checkpoint),
        files.synthesizer(REQUEST.checkpoint),
        SpeechRequest(
            torch.tensor(REQUEST.phoneme_ids),
            REQUEST.reference,
            REQUEST.seed,
            max_new_tokens=max_new_tokens(len(REQUEST.phoneme_ids), 10_000),
        ),
    )
    return [chunk.numpy() for chunk in chunks]


@pytest.fixture
def engines(files: CheckpointFiles) -> Iterator[tuple[SemanticEngine, WaveformEngine]]:
    settings = SemanticSettings(tokens_per_chunk=TOKENS_PER_CHUNK)
    s1, s2 = SemanticEngine(files, settings), WaveformEngine(files, WaveformSettings())
    yield s1, s2
    s1.stop()
    s2.stop()


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("resumed", "repeated"):
        made_again = partial(getattr(retry, name), waits_s=(0.0, 0.0))
        monkeypatch.setattr(two_stages, name, made_again)


async def heard_by(stages: TwoStages, heard: list[Waveform]) -> None:
    async for waveform in stages.speak_early(REQUEST):
        heard.append(waveform)


def speak(
    engines: tuple[SemanticEngine, WaveformEngine],
    heard: list[Waveform],
    s1_deaths: dict[int, int] = NO_DEATHS,
    s2_deaths: dict[int, int] = NO_DEATHS,
) -> tuple[list[SemanticRequest], list[EarlyRequest]]:
    """Fill `heard`; what each stage was asked."""
    s1, s2 = Stage(engines[0].generate, s1_deaths), Stage(engines[1].synthesize_early, s2_deaths)
    asyncio.run(heard_by(TwoStages(s1, s2), heard))  # type: ignore[arg-type]
    return s1.requests, s2.requests


def assert_equal(heard: list[Waveform], expected: list[Waveform]) -> None:
    assert [len(chunk) for chunk in heard] == [len(chunk) for chunk in expected]
    np.testing.assert_array_equal(np.concatenate(heard), np.concatenate(expected))


@pytest.mark.parametrize("num_items", [0, 1, 3, 6])
def test_a_death_of_s1_is_not_heard(
    engines: tuple[SemanticEngine, WaveformEngine], uninterrupted: list[Waveform], num_items: int
) -> None:
    heard: list[Waveform] = []
    asked, _ = speak(engines, heard, s1_deaths={0: num_items})
    assert [len(request.generated_prefix) for request in asked] == [0, TOKENS_PER_CHUNK * num_items]
    assert_equal(heard, uninterrupted)


@pytest.mark.parametrize("call", [0, 1, 2])
def test_a_death_of_s2_is_not_heard(
    engines: tuple[SemanticEngine, WaveformEngine], uninterrupted: list[Waveform], call: int
) -> None:
    heard: list[Waveform] = []
    _, asked = speak(engines, heard, s2_deaths={call: 0})
    assert asked[call] == asked[call + 1]  # all that S2 goes on from is in the request
    assert_equal(heard, uninterrupted)


def test_deaths_of_both_stages_are_not_heard(
    engines: tuple[SemanticEngine, WaveformEngine], uninterrupted: list[Waveform]
) -> None:
    heard: list[Waveform] = []
    speak(engines, heard, s1_deaths={0: 1, 1: 2}, s2_deaths={0: 0, 2: 0, 3: 0})
    assert_equal(heard, uninterrupted)


def test_a_stage_that_is_lost_ends_the_stream_with_an_error_behind_what_was_right(
    engines: tuple[SemanticEngine, WaveformEngine], uninterrupted: list[Waveform]
) -> None:
    heard: list[Waveform] = []
    with pytest.raises(NotReady, match="Vocoder was lost"):
        speak(engines, heard, s2_deaths=dict.fromkeys(range(1, 10), 0))
    assert_equal(heard, uninterrupted[:1])
