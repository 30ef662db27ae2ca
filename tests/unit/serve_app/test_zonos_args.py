"""The second engine is part of the service where the configuration asks for it."""

import pytest
from pydantic import ValidationError

from serve_app.app import AppArgs


def test_without_a_word_about_it_there_is_no_zonos() -> None:
    assert AppArgs().zonos is None


@pytest.mark.parametrize("stage", ["backbone", "decoder"])
def test_a_stage_of_zonos_that_could_refuse_what_was_admitted_is_found_at_start(
    stage: str,
) -> None:
    AppArgs.model_validate({"zonos": {}})
    with pytest.raises(ValidationError, match=rf"zonos\.{stage}\.max_waiting is 3"):
        AppArgs.model_validate({"zonos": {stage: {"max_waiting": 3}}})
