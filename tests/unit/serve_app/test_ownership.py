"""Two keys and what each sees of the other's: the HTTP application over a store, without stages."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.driver.catalog import Catalog
from deployments.metrics import RequestMetrics
from models.storage import FolderStore, embedded_store
from serve_app.access.keys import KeyRing, new_key
from serve_app.access.rate import RateLimit
from serve_app.admission import Admission, AdmissionArgs
from serve_app.characters import CharacterShelf
from serve_app.edge import Edge
from serve_app.http import http_application
from tests.gpt_sovits_store import publish_small_voices

ABSENT: Any = None  # a part that these routes do not use
CHARACTER = {"persona": "bujang", "voice": "sinip"}


class House:
    """The application, with the keys of alice and bob."""

    def __init__(self, store: FolderStore) -> None:
        catalog = Catalog([store, embedded_store()])
        keys = {name: new_key(name) for name in ("alice", "bob")}
        self.tokens = {name: token for name, (_, token) in keys.items()}
        self.application = http_application(
            Edge(
                stages={},
                catalog=catalog,
                characters=CharacterShelf(store, embedded_store(), catalog),
                registration=ABSENT,
                jobs=ABSENT,
                desk=ABSENT,
                speech=ABSENT,
                persona_llm=ABSENT,
                admission=Admission(AdmissionArgs(), lambda: 1),
                keys=KeyRing([key for key, _ in keys.values()], None),
                rate=RateLimit(1000, lambda: 1),
                metrics=RequestMetrics(),
            )
        )

    def ask(self, who: str | None, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.tokens[who]}"} if who else {}

        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, headers=headers, **request)

        return asyncio.run(sent())


@pytest.fixture
def house(tmp_path: Path) -> House:
    store = publish_small_voices(tmp_path)
    voice = json.loads(store.read("voices/alto/1/voice.json"))
    store.write("voices/alto/1/voice.json", json.dumps(voice | {"owner": "alice"}).encode())
    return House(store)


def test_nothing_but_its_state_is_told_without_a_key(house: House) -> None:
    assert house.ask(None, "GET", "/health").status_code == 200
    assert house.ask(None, "GET", "/openapi.json").status_code == 200
    for path in ("/speakers", "/jobs", "/v1/models", "/nothing"):
        assert house.ask(None, "GET", path).status_code == 401
    error = house.ask(None, "GET", "/v1/models").json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "unauthorized")


def test_a_voice_exists_for_its_owner_alone(house: House) -> None:
    def names(who: str) -> set[str]:
        voices = house.ask(who, "GET", "/speakers").json()["speakers"]
        return {voice["speaker_id"] for voice in voices}

    assert names("alice") - names("bob") == {"alto"}
    assert house.ask("alice", "GET", "/speakers/alto").status_code == 200
    body = {"model": "tts-1", "voice": "alto", "input": "안녕"}
    for reply in (
        house.ask("bob", "GET", "/speakers/alto"),
        house.ask("bob", "DELETE", "/speakers/alto"),
        house.ask("bob", "POST", "/v1/audio/speech", json=body),
        house.ask("bob", "PUT", "/characters/x", json=CHARACTER | {"voice": "alto"}),
    ):
        assert reply.status_code == 404
        assert "alice" not in reply.text


def test_a_character_exists_for_its_owner_alone(house: House) -> None:
    assert house.ask("alice", "PUT", "/characters/mine", json=CHARACTER).status_code == 200
    assert house.ask("alice", "GET", "/characters/mine").status_code == 200
    assert house.ask("bob", "GET", "/characters/mine").status_code == 404
    assert house.ask("bob", "DELETE", "/characters/mine").status_code == 404
    scene = {"character": "mine", "prompt": "회의."}
    assert house.ask("bob", "POST", "/assistant", json=scene).status_code == 404
    assert house.ask("bob", "PUT", "/characters/mine", json=CHARACTER).status_code == 403
    assert house.ask("alice", "DELETE", "/characters/mine").status_code == 204


def test_who_made_a_character_is_told_to_nobody(house: House) -> None:
    assert "owner" not in house.ask("alice", "PUT", "/characters/mine", json=CHARACTER).json()


@pytest.mark.parametrize("suffix", ["", "@1"])
def test_another_keys_voice_is_refused_in_the_words_for_none(house: House, suffix: str) -> None:
    def detail(voice_id: str) -> str:
        reply = house.ask("bob", "GET", f"/speakers/{voice_id}{suffix}")
        assert reply.status_code == 404
        told: str = reply.json()["detail"]
        return told.replace(voice_id, "ID")

    assert detail("alto") == detail("nobody")
