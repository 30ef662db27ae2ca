"""Characters as callers make them: a persona, a voice and how certain words are read.

characters/<id>/<version>.json     immutable
characters/<id>/current.json       names the newest version; goes first when one is deleted
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from deployments.driver.catalog import Catalog, CharacterDocument
from deployments.errors import InvalidInput, ReadOnlyRecord, UnknownCharacter, UnknownVoice
from models.storage import ObjectStore
from models.text.errors import DictionaryError
from models.text.korean.dictionary import PronunciationDictionary
from serve_app.access.ownership import may_change, may_see
from serve_app.schemas import CharacterBody

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_FOLDER = "characters"


class CharacterShelf:
    """Reads, writes and deletes characters; all calls block.

    Args:
        store: the user's layer, which is written to.
        embedded: characters that ship with the project and stay as they are.
        catalog: reads both.
    """

    def __init__(self, store: ObjectStore, embedded: ObjectStore, catalog: Catalog) -> None:
        self._store = store
        self._embedded = frozenset(embedded.children(_FOLDER))
        self._catalog = catalog

    def read(self, reference: str, caller: str | None) -> CharacterDocument:
        """The character `id` or `id@version`.

        Raises:
            UnknownCharacter: there is none, or it is another key's.
        """
        document = self._catalog.character_document(reference)
        if not may_see(caller, document.owner):
            raise UnknownCharacter(f"characters: nothing is called {reference!r}")
        return document

    def put(self, character_id: str, body: CharacterBody, caller: str | None) -> CharacterDocument:
        """Publish a version of a character, its first or a further one.

        Raises:
            InvalidInput: the id has another form, or the dictionary contradicts itself.
            ReadOnlyRecord: it ships with the project, or is another key's.
            UnknownCharacter, UnknownVoice: there is no such persona or voice.
        """
        if not _ID.fullmatch(character_id):
            raise InvalidInput(f"{character_id[:80]!r} is not an id: 1 to 64 of a-z 0-9 _ -")
        try:
            PronunciationDictionary(body.dictionary)
        except DictionaryError as error:
            raise InvalidInput(str(error)) from error
        self._catalog.persona(body.persona)
        if not may_see(caller, self._catalog.voice(body.voice).owner):
            raise UnknownVoice(f"voices: nothing is called {body.voice!r}")
        owner = self._owner_of_changeable(character_id, caller)
        document = CharacterDocument(
            character_id=character_id,
            version=_new_version(),
            persona=body.persona,
            voice=body.voice,
            dictionary=body.dictionary,
            owner=owner,
        )
        folder = f"{_FOLDER}/{character_id}"
        self._store.create(f"{folder}/{document.version}.json", _encode(document.model_dump()))
        self._store.write(f"{folder}/current.json", _encode({"version": document.version}))
        return document

    def delete(self, character_id: str, caller: str | None) -> None:
        """Remove all versions of a character.

        Raises:
            UnknownCharacter: there is none, or it is another key's.
            ReadOnlyRecord: it ships with the project, or is everybody's.
        """
        self.read(character_id, caller)
        self._owner_of_changeable(character_id, caller)
        self._store.delete(f"{_FOLDER}/{character_id}/current.json")
        self._store.delete_tree(f"{_FOLDER}/{character_id}")

    def _owner_of_changeable(self, character_id: str, caller: str | None) -> str | None:
        """Who owns the character after the caller's change; refuses one who may not change it."""
        if character_id in self._embedded:
            raise ReadOnlyRecord(f"character {character_id!r} ships with the project")
        try:
            owner = self._catalog.character_document(character_id).owner
        except UnknownCharacter:
            return caller
        if not may_change(caller, owner):
            raise ReadOnlyRecord(f"character {character_id!r} is not this key's")
        return owner


def _new_version() -> str:
    """A version that no earlier one had, also where that was deleted: microseconds."""
    return str(int(datetime.now(UTC).timestamp() * 1e6))


def _encode(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode()
