import pytest
import yaml
from pydantic import ValidationError

from serve_app.app import AppArgs
from serve_app.settings import CHECKOUT

CONFIG = yaml.safe_load((CHECKOUT / "serve_config.yaml").read_text())["applications"][0]


def test_the_defaults_and_the_configuration_that_ships_are_sound() -> None:
    AppArgs()
    AppArgs.model_validate(CONFIG["args"])


@pytest.mark.parametrize("stage", ["kokoro", "semantic_decoder", "vocoder", "persona"])
def test_a_stage_that_could_refuse_what_was_admitted_is_found_at_start(stage: str) -> None:
    with pytest.raises(ValidationError, match=f"{stage}.max_waiting"):
        AppArgs.model_validate({stage: {"max_waiting": 3}})


def test_a_stage_takes_as_many_calls_as_may_wait_in_it() -> None:
    calls = {each["name"]: each["max_ongoing_requests"] for each in CONFIG["deployments"]}
    args = AppArgs.model_validate(CONFIG["args"])
    for name, stage in {
        "KokoroVoice": args.kokoro,
        "SemanticDecoder": args.semantic_decoder,
        "Vocoder": args.vocoder,
        "PersonaLLM": args.persona,
    }.items():
        assert calls[name] > stage.max_waiting


def test_all_replicas_leave_room_for_a_training_job() -> None:
    cpus = [each["ray_actor_options"]["num_cpus"] for each in CONFIG["deployments"]]
    assert sum(cpus) <= 0.9


def test_a_typing_error_is_found_at_start() -> None:
    with pytest.raises(ValidationError, match="max_request"):
        AppArgs.model_validate({"admission": {"max_request": 3}})
