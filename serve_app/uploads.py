"""Fields of a multipart form, which all arrive as text."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form
from pydantic import TypeAdapter, ValidationError

from deployments.errors import InvalidInput
from models.gpt_sovits.published import EmotionName

VoiceName = Annotated[str, Form(min_length=1, max_length=64, examples=["narrator"])]
Language = Annotated[str, Form(min_length=1, max_length=16, examples=["ko"])]
Engine = Annotated[str, Form(min_length=1, max_length=64, examples=["gpt_sovits"])]
SpeakerId = Annotated[
    str | None, Form(max_length=64, description="1 to 64 of a-z 0-9 _ -; chosen if absent.")
]
Transcript = Annotated[
    str | None, Form(max_length=500, description="What the clip says; recognised if absent.")
]
Description = Annotated[str, Form(max_length=500)]
Webhook = Annotated[str | None, Form(max_length=2048)]
Consent = Annotated[
    bool, Form(description="`true`: the speaker agrees. Stored with the voice; needed.")
]
Emotions = Annotated[
    str,
    Form(
        max_length=300,
        description="What is heard in the clip: one of the eight emotions, or JSON weights.",
        examples=["neutral", '{"happiness": 0.7, "surprise": 0.3}'],
    ),
]

_WEIGHTS: TypeAdapter[dict[EmotionName, float]] = TypeAdapter(dict[EmotionName, float])


def emotion_weights(field: str) -> dict[str, float]:
    """Weights of the emotions that a form's field names.

    Raises:
        InvalidInput: it starts like JSON and is no JSON object of emotions and numbers.
    """
    if not field.lstrip().startswith("{"):
        return {field.strip(): 1.0}
    try:
        return {str(name): weight for name, weight in _WEIGHTS.validate_json(field).items()}
    except ValidationError as error:
        raise InvalidInput(f"emotion: {error.errors()[0]['msg']}") from None
