"""What callers are told when a line can't be written."""

import pytest

from deployments import errors
from deployments.engine.persona import protocol
from deployments.persona_llm import to_speech_error
from models.persona.scene import SceneError
from models.storage import StorageUnavailable

Refusal = protocol.EngineError | SceneError | StorageUnavailable

TOLD: dict[type[Refusal], type[errors.SpeechError]] = {
    protocol.EngineError: errors.NotReady,
    protocol.EngineLost: errors.NotReady,
    protocol.EngineBusy: errors.Overloaded,
    protocol.BaseModelMismatch: errors.InvalidInput,
    protocol.AdapterRefused: errors.DamagedRecord,
    protocol.PromptTooLong: errors.TextTooLong,
    protocol.ExternalRefused: errors.ExternalModelRefused,
    protocol.EmptyLine: errors.GenerationFailed,
    protocol.LineTimeout: errors.DeadlineExceeded,
    SceneError: errors.InvalidInput,
    StorageUnavailable: errors.NotReady,
}


@pytest.mark.parametrize("error_class", TOLD)
def test_a_refusal_is_told_with_its_reason(error_class: type[Refusal]) -> None:
    error = to_speech_error(error_class("why"))

    assert (type(error), error.detail) == (TOLD[error_class], "why")


def test_every_error_of_the_engines_is_told() -> None:
    assert set(protocol.EngineError.__subclasses__()) <= TOLD.keys()


def test_callers_who_may_come_back_are_told_when() -> None:
    later = {name for name in TOLD if "retry_after_s" in to_speech_error(name("why")).extensions}

    assert later == {
        protocol.EngineError,
        protocol.EngineLost,
        protocol.EngineBusy,
        StorageUnavailable,
    }
