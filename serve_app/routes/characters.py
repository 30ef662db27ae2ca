"""Characters: a persona, a voice and a pronunciation dictionary under one name."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from deployments.driver.catalog import CharacterDocument
from deployments.errors import ReadOnlyRecord, UnknownCharacter, UnknownVoice
from serve_app.edge import Caller, Parts
from serve_app.openapi import problems
from serve_app.schemas import CharacterBody, CharacterReply

router = APIRouter(prefix="/characters", tags=["characters"])


@router.get("/{character_id}", responses=problems(UnknownCharacter))
async def character(character_id: str, edge: Parts, caller: Caller) -> CharacterReply:
    """One character, by `id` or `id@version`."""
    return _reply(await asyncio.to_thread(edge.characters.read, character_id, caller))


@router.put(
    "/{character_id}",
    responses=problems(UnknownCharacter, UnknownVoice, ReadOnlyRecord, body=True),
)
async def put_character(
    character_id: str, body: CharacterBody, edge: Parts, caller: Caller
) -> CharacterReply:
    """Make a character, or a new version of one; it can be used at once."""
    return _reply(await asyncio.to_thread(edge.characters.put, character_id, body, caller))


@router.delete(
    "/{character_id}", status_code=204, responses=problems(UnknownCharacter, ReadOnlyRecord)
)
async def delete_character(character_id: str, edge: Parts, caller: Caller) -> None:
    """Forget a character with all its versions; its persona and its voice stay."""
    await asyncio.to_thread(edge.characters.delete, character_id, caller)


def _reply(document: CharacterDocument) -> CharacterReply:
    return CharacterReply(**document.model_dump(exclude={"owner"}))
