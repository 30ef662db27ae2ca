"""Bodies of replies that are nobody else's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from deployments.driver.requests import Dictionary, Reference, StrictModel


class Health(BaseModel):
    """That the HTTP edge answers."""

    status: Literal["alive"]


class StageStatus(BaseModel):
    """One stage: whether it is loaded, and its segments or lines in work and waiting."""

    ready: bool
    active: int = 0
    waiting: int = 0


class Readiness(BaseModel):
    """Whether a request would succeed now, stage by stage, and what is owed to callers."""

    ready: bool
    stages: dict[str, StageStatus]
    queued_audio_s: float
    active_requests: int


class Speaker(BaseModel):
    """A voice as `/speakers` shows it."""

    speaker_id: str
    version: str
    engine: str
    language: str
    emotions: list[str]
    description: str
    licence: str
    created_at: str


class Speakers(BaseModel):
    """All voices, newest version each."""

    speakers: list[Speaker]


class CharacterBody(StrictModel):
    """`PUT /characters/{id}`: who a character is."""

    persona: Annotated[Reference, Field(description="A persona, or one version of it.")]
    voice: Annotated[Reference, Field(description="A voice, or one version of it.")]
    dictionary: Dictionary = Field(default_factory=dict)


class CharacterReply(BaseModel):
    """A character as `/characters/{id}` shows it."""

    character_id: str
    version: str
    persona: str
    voice: str
    dictionary: dict[str, str]


class OpenAIVoice(BaseModel):
    """An entry of `/v1/audio/voices`."""

    id: str
    object: Literal["voice"] = "voice"
    version: str
    language: str
    emotions: list[str]


class OpenAIVoices(BaseModel):
    """All voices in OpenAI's shape of a list."""

    object: Literal["list"] = "list"
    data: list[OpenAIVoice]


class OpenAIModel(BaseModel):
    """An entry of `/v1/models`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["baewoo"] = "baewoo"


class OpenAIModels(BaseModel):
    """All models in OpenAI's shape of a list."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


class ChatMessageReply(BaseModel):
    """What the persona says."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(BaseModel):
    """The only choice of a completion."""

    index: Literal[0] = 0
    message: ChatMessageReply
    finish_reason: Literal["stop", "length"]


class ChatUsage(BaseModel):
    """Tokens of the base model."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    """The body of a chat completion that does not stream."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage


class OpenAIDeleted(BaseModel):
    """That something was deleted, in OpenAI's shape."""

    id: str
    object: Literal["voice"] = "voice"
    deleted: Literal[True] = True
