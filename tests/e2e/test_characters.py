import httpx
import pytest

pytestmark = pytest.mark.e2e

BODY = {"persona": "sinip", "voice": "bujang", "dictionary": {"GS": "지에쓰"}}


def test_a_new_character_answers_without_any_code(client: httpx.Client) -> None:
    made = client.put("/characters/temp", json=BODY)
    assert made.status_code == 200
    assert client.get("/characters/temp").json() == made.json()
    scene = {"character": "temp", "prompt": "복사기가 고장 났다.", "seed": 3}
    output = client.post("/assistant", json=scene).json()["output"]
    assert (output["persona"], output["voice"]) == ("sinip@3", "bujang@1")
    changed = client.put("/characters/temp", json=BODY | {"voice": "sinip"}).json()
    assert int(changed["version"]) > int(made.json()["version"])
    old = client.get(f"/characters/temp@{made.json()['version']}").json()
    assert (old["voice"], client.get("/characters/temp").json()["voice"]) == ("bujang", "sinip")
    assert client.delete("/characters/temp").status_code == 204
    assert client.get("/characters/temp").status_code == 404
    assert client.delete("/characters/temp").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_what_ships_with_the_project_stays_as_it_is(client: httpx.Client, method: str) -> None:
    reply = client.request(method, "/characters/bujang", json=BODY if method == "PUT" else None)
    assert (reply.status_code, reply.json()["type"].rpartition(":")[2]) == (403, "read-only-record")
    assert client.get("/characters/bujang").json()["persona"] == "bujang@3"


@pytest.mark.parametrize(
    ("character_id", "change", "status", "slug"),
    [
        ("x", {"persona": "nobody"}, 404, "unknown-character"),
        ("x", {"voice": "nobody"}, 404, "unknown-voice"),
        ("x", {"voice": "../sinip"}, 400, "invalid-input"),
        ("x", {"dictionary": {"A": "B", "B": "A"}}, 400, "invalid-input"),
        ("x", {"dictionary": "A"}, 422, "invalid-input"),
        ("x", {"extra": 1}, 422, "invalid-input"),
        ("X", {}, 400, "invalid-input"),
        ("a" * 65, {}, 400, "invalid-input"),
        ("..%2f..%2fx", {}, 404, None),
        ("%00", {}, 400, "invalid-input"),
    ],
)
def test_a_character_that_can_not_be_is_refused(
    client: httpx.Client, character_id: str, change: dict[str, object], status: int, slug: str
) -> None:
    reply = client.put(f"/characters/{character_id}", json=BODY | change)
    assert reply.status_code == status, reply.text
    if slug is not None:
        assert reply.json()["type"] == f"urn:baewoo:problem:{slug}"
