"""What may be asked: the public API, field by field."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_TEXT_CHARS = 4096
"""Longest text of one request; the bound OpenAI's speech route documents."""

MAX_SCENE_CHARS = 2000

_FORMATS = "mp3, opus, aac, flac, wav, or pcm (16-bit little-endian, mono, 24 kHz)."

Speed = Annotated[
    float,
    Field(ge=0.5, le=2.0, allow_inf_nan=False, description="1 is the voice's own pace."),
]


def _only_valid_unicode(text: str) -> str:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("text holds a lone surrogate, which is not a character")
    return text


Text = Annotated[str, AfterValidator(_only_valid_unicode)]
Reference = Annotated[str, Field(min_length=1, max_length=97, examples=["bujang", "sinip@1"])]


class StrictModel(BaseModel):
    """A body in which an unknown field or a wrong type is an error, not a guess."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SpeechRequest(StrictModel):
    """`POST /v1/audio/speech`, OpenAI's shape."""

    model: Annotated[str, Field(max_length=64, examples=["tts-1"])]
    input: Annotated[
        Text,
        Field(
            max_length=MAX_TEXT_CHARS,
            description="What to say.",
            examples=["오늘 회식은 내가 쏜다!"],
        ),
    ]
    voice: Reference
    response_format: Annotated[str, Field(max_length=16, description=_FORMATS)] = "mp3"
    speed: Speed = 1.0
    language: Annotated[str, Field(max_length=16)] = "ko"
    emotion: Annotated[str, Field(max_length=32)] = "neutral"
    instructions: Annotated[
        Text, Field(max_length=MAX_TEXT_CHARS, description="Accepted for compatibility; unused.")
    ] = ""


class SynthesizeRequest(StrictModel):
    """`POST /synthesize`."""

    text: Annotated[
        Text, Field(max_length=MAX_TEXT_CHARS, examples=["보고서는 세 시까지 부탁드립니다."])
    ]
    speaker_id: Reference
    language: Annotated[str, Field(max_length=16)] = "ko"
    emotion: Annotated[str, Field(max_length=32, examples=["happiness"])] = "neutral"
    speed: Speed = 1.0
    format: Annotated[str, Field(max_length=16, description=_FORMATS)] = "wav"
    dictionary: Annotated[
        dict[
            Annotated[Text, Field(min_length=1, max_length=64)],
            Annotated[Text, Field(min_length=1, max_length=128)],
        ],
        Field(max_length=200, description="Written form → how to read it."),
    ] = Field(default_factory=dict)


class Turn(StrictModel):
    """One earlier turn of a dialogue, oldest first."""

    role: Literal["user", "character"]
    text: Annotated[Text, Field(min_length=1, max_length=MAX_SCENE_CHARS)]


class AssistantRequest(StrictModel):
    """`POST /assistant`: a scene in, the character's line out, spoken."""

    prompt: Annotated[
        Text,
        Field(
            max_length=MAX_SCENE_CHARS,
            description="The scene. A trailing [지문: …] is the stage direction.",
            examples=["점심 메뉴를 고르는 중이다. [지문: 신나서]"],
        ),
    ]
    character: Annotated[Reference | None, Field(description="A persona with its voice.")] = None
    persona: Reference | None = None
    speaker_id: Reference | None = None
    direction: Annotated[Text, Field(max_length=200)] | None = None
    category: Annotated[Text, Field(max_length=100)] | None = None
    style: Annotated[Text, Field(max_length=100)] | None = None
    history: Annotated[list[Turn], Field(max_length=40)] = Field(default_factory=list)
    emotion: Annotated[str, Field(max_length=32)] = "neutral"
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    format: Annotated[str, Field(max_length=16, description=_FORMATS)] = "wav"
