import pytest

from deployments.errors import InvalidInput
from serve_app.uploads import emotion_weights


def test_an_emotion_is_a_name_or_weights() -> None:
    assert emotion_weights("anger") == {"anger": 1.0}
    assert emotion_weights(' {"anger": 0.5, "fear": 1} ') == {"anger": 0.5, "fear": 1.0}


@pytest.mark.parametrize("field", ["{", "{}x", '{"bored": 1}', '{"anger": "much"}', "{" * 100_000])
def test_what_starts_like_json_has_to_be_weights(field: str) -> None:
    with pytest.raises(InvalidInput, match="emotion"):
        emotion_weights(field)
