"""Controls that an engine does not have."""

import pytest

from deployments.driver.catalog import Catalog
from deployments.driver.controls import Controls
from deployments.errors import InvalidInput
from models.storage import embedded_store


def test_a_control_is_refused_for_a_voice_whose_engine_does_not_have_it() -> None:
    voice = Catalog([embedded_store()]).voice("bujang")
    with pytest.raises(InvalidInput, match="engine kokoro, which has no pitch_std; zonos has"):
        voice.style("ko", "neutral", 1.0, controls=Controls(pitch_std=30))
