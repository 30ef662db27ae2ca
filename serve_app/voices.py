"""Voices as a caller sees them: its own and everybody's, no other key's."""

from __future__ import annotations

import asyncio

from deployments.driver.catalog import Character, Voice
from deployments.driver.requests import AssistantRequest
from deployments.errors import UnknownVoice
from serve_app.access.ownership import may_see
from serve_app.edge import Edge
from serve_app.schemas import OpenAIVoice, Speaker


async def visible_voice(edge: Edge, caller: str | None, reference: str) -> Voice:
    """The voice `id` or `id@version`.

    Raises:
        UnknownVoice: there is none, or it is another key's.
    """
    voice = await asyncio.to_thread(edge.catalog.voice, reference)
    return _require_visible(caller, voice, reference)


async def visible_voices(edge: Edge, caller: str | None) -> list[Voice]:
    """The newest version of every voice that the caller may use."""
    voices = await asyncio.to_thread(edge.catalog.voices)
    return [voice for voice in voices if may_see(caller, voice.owner)]


async def visible_cast(edge: Edge, caller: str | None, body: AssistantRequest) -> Character:
    """Who answers, and in which voice.

    Raises:
        InvalidInput: too little is named.
        UnknownCharacter, UnknownVoice: there is none, or it is another key's.
    """
    # A speaker alone means the character of that name (`Catalog.cast`).
    name = body.character or (body.speaker_id if body.persona is None else None)
    if name is not None:
        await asyncio.to_thread(edge.characters.read, name.partition("@")[0], caller)
    character = await asyncio.to_thread(
        edge.catalog.cast, body.character, body.persona, body.speaker_id
    )
    voice = character.voice
    _require_visible(caller, voice, body.speaker_id or voice.record.name)
    return character


def as_speaker(voice: Voice) -> Speaker:
    """A voice as `/speakers` shows it."""
    return Speaker(
        speaker_id=voice.record.name,
        version=voice.record.version,
        engine=voice.engine,
        language=voice.language,
        emotions=list(voice.emotions),
        description=voice.description,
        licence=voice.licence,
        created_at=voice.created_at,
    )


def as_openai_voice(voice: Voice) -> OpenAIVoice:
    """A voice as an entry of `/v1/audio/voices`."""
    return OpenAIVoice(
        id=voice.record.name,
        version=voice.record.version,
        language=voice.language,
        emotions=list(voice.emotions),
    )


def _require_visible(caller: str | None, voice: Voice, reference: str) -> Voice:
    # In the very words for a voice that is not there, so that nobody learns which ids are taken.
    if not may_see(caller, voice.owner):
        raise UnknownVoice(f"voices: nothing is called {reference!r}")
    return voice
