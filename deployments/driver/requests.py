"""What may be asked: the public API, field by field."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from deployments.driver.controls import Controls
from models.gpt_sovits.published import EmotionName
from models.zonos.conditions import FMAX_RANGE_HZ, PITCH_STD_RANGE, SPEAKING_RATE_RANGE

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
Language = Annotated[str, Field(max_length=16)]
Format = Annotated[str, Field(max_length=16, description=_FORMATS)]
Seed = Annotated[
    int,
    Field(ge=0, lt=2**63, description="The same request with the same seed sounds the same."),
]
WebhookUrl = Annotated[
    Text,
    Field(max_length=2048, description="Told of the job's end, signed per Standard Webhooks."),
]
Dictionary = Annotated[
    dict[
        Annotated[Text, Field(min_length=1, max_length=64)],
        Annotated[Text, Field(min_length=1, max_length=128)],
    ],
    Field(max_length=200, description="Written form → how to read it."),
]

_Weight = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Emotion = Annotated[
    Annotated[str, Field(max_length=32), Tag("name")]
    | Annotated[dict[EmotionName, _Weight], Field(min_length=1), Tag("weights")],
    Discriminator(lambda emotion: "weights" if isinstance(emotion, dict) else "name"),
    Field(
        description="One of happiness, sadness, disgust, fear, surprise, anger, other, neutral; "
        "or weights of several. The voice uses the nearest it has; one of Zonos uses the weights.",
        examples=["happiness", {"happiness": 0.7, "surprise": 0.3}],
    ),
]
Reference = Annotated[str, Field(min_length=1, max_length=97, examples=["bujang", "sinip@1"])]


class StrictModel(BaseModel):
    """A body in which an unknown field or a wrong type is an error, not a guess."""

    model_config = ConfigDict(extra="forbid", strict=True)


Llm = Annotated[
    Literal["local", "external"],
    Field(description="Who writes the line; `external` is the configured OpenAI-compatible model."),
]


class ControlFields(StrictModel):
    """What voices of the engine `zonos` can be told besides the emotion; of no other engine."""

    speaking_rate: Annotated[
        float | None,
        Field(
            ge=SPEAKING_RATE_RANGE[0],
            le=SPEAKING_RATE_RANGE[1],
            allow_inf_nan=False,
            description="Phonemes a second, 15 if absent; `speed` multiplies it. For Zonos.",
        ),
    ] = None
    pitch_std: Annotated[
        float | None,
        Field(
            ge=PITCH_STD_RANGE[0],
            le=PITCH_STD_RANGE[1],
            allow_inf_nan=False,
            description="How much the pitch moves, 20 if absent; 20 to 45 is plain, 60 to 150 "
            "expressive. For Zonos.",
        ),
    ] = None
    fmax: Annotated[
        float | None,
        Field(
            ge=FMAX_RANGE_HZ[0],
            le=FMAX_RANGE_HZ[1],
            allow_inf_nan=False,
            description="Highest frequency that is heard, Hz; 22050 if absent. For Zonos.",
        ),
    ] = None

    def controls(self) -> Controls:
        """Those that are given."""
        return Controls(self.speaking_rate, self.pitch_std, self.fmax)


class SpeechRequest(ControlFields):
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
    response_format: Format = "mp3"
    stream_format: Annotated[
        Literal["audio", "sse"], Field(description="Bytes of a file, or events with pieces of it.")
    ] = "audio"
    sample_rate: Annotated[
        Literal[8000, 16000, 22050, 24000, 32000, 44100, 48000] | None,
        Field(description="Hz; for wav, flac and pcm. 24000 if absent."),
    ] = None
    speed: Speed = 1.0
    language: Language = "ko"
    emotion: Emotion = "neutral"
    seed: Seed | None = None
    instructions: Annotated[
        Text, Field(max_length=MAX_TEXT_CHARS, description="Accepted for compatibility; unused.")
    ] = ""


class SynthesizeRequest(ControlFields):
    """`POST /synthesize`."""

    text: Annotated[
        Text, Field(max_length=MAX_TEXT_CHARS, examples=["보고서는 세 시까지 부탁드립니다."])
    ]
    speaker_id: Reference
    language: Language = "ko"
    emotion: Emotion = "neutral"
    speed: Speed = 1.0
    seed: Seed | None = None
    format: Format = "wav"
    dictionary: Dictionary = Field(default_factory=dict)
    webhook_url: WebhookUrl | None = None


class ChatMessage(StrictModel):
    """One message of a chat; a system message counts as a turn of the user."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Text, Field(max_length=MAX_SCENE_CHARS)]
    name: Annotated[str, Field(max_length=64)] | None = None


class ChatRequest(StrictModel):
    """`POST /v1/chat/completions`, OpenAI's shape, for lines without sound."""

    model: Annotated[
        str,
        Field(
            max_length=128,
            description="<base>:<persona>; the base `external` is the configured "
            "OpenAI-compatible model.",
            examples=["gemma-3-270m:bujang"],
        ),
    ]
    messages: Annotated[
        list[ChatMessage],
        Field(
            min_length=1,
            max_length=41,
            description="The last one is the scene that is answered; the others came before it.",
            examples=[[{"role": "user", "content": "점심 메뉴를 고르는 중이다. [지문: 신나서]"}]],
        ),
    ]
    stream: bool = False
    seed: Seed | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    n: Literal[1] = 1
    user: Annotated[str, Field(max_length=256)] | None = None


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
    emotion: Annotated[
        Emotion | None, Field(description="Overrides what the stage direction asks for.")
    ] = None
    llm: Llm = "local"
    seed: Seed | None = None
    format: Format = "wav"
    stream: Annotated[
        bool, Field(description="Answer with events: text and audio as they are made; not stored.")
    ] = False
    webhook_url: WebhookUrl | None = None
