import pytest

from deployments.engine.persona.protocol import EngineError
from deployments.persona_llm import to_speech_error
from models.persona.scene import SceneError


@pytest.mark.parametrize("error_class", [EngineError, *EngineError.__subclasses__(), SceneError])
def test_every_refusal_of_the_engine_has_a_status_of_its_own(
    error_class: type[EngineError | SceneError],
) -> None:
    error = to_speech_error(error_class("why"))
    assert (error.detail, error.slug != "internal-error") == ("why", True)
