import pytest

from deployments.driver.assistant import line_request, line_style
from deployments.driver.catalog import Catalog
from deployments.driver.requests import AssistantRequest, Turn
from deployments.errors import InvalidInput
from models.storage import embedded_store

CHARACTER = Catalog([embedded_store()]).character("bujang")
PERSONA = CHARACTER.persona


def test_a_trailing_stage_direction_is_taken_out_of_the_scene() -> None:
    body = AssistantRequest(prompt="회의 중이다. [지문: 하품하며]")
    request = line_request(body, PERSONA)
    assert (request.scene.situation, request.scene.direction) == ("회의 중이다.", "하품하며")


def test_a_named_direction_wins_over_the_one_in_the_scene() -> None:
    body = AssistantRequest(prompt="회의 중이다. [지문: 하품하며]", direction="화내며")
    assert line_request(body, PERSONA).scene.direction == "화내며"


def test_a_seed_is_drawn_unless_one_is_given() -> None:
    scene = "회의 중이다."
    drawn = {line_request(AssistantRequest(prompt=scene), PERSONA).seed for _ in range(5)}
    assert len(drawn) == 5
    assert line_request(AssistantRequest(prompt=scene, seed=3), PERSONA).seed == 3


def test_an_empty_scene_and_an_empty_turn_are_refused() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        line_request(AssistantRequest(prompt=" "), PERSONA)
    body = AssistantRequest(prompt="회의", history=[Turn(role="user", text=" ")])
    with pytest.raises(InvalidInput, match="empty"):
        line_request(body, PERSONA)


def test_a_request_says_who_writes_the_line() -> None:
    asked = [AssistantRequest(prompt="밥", llm="external"), AssistantRequest(prompt="밥")]
    assert [line_request(body, PERSONA).llm for body in asked] == ["external", "local"]


def test_a_line_is_spoken_with_the_seed_it_is_written_with() -> None:
    body = AssistantRequest(prompt="회의 중이다.")
    request = line_request(body, PERSONA)
    assert line_style(body, CHARACTER, request).seed == request.seed


def test_the_callers_emotion_wins_over_the_stage_directions() -> None:
    scene = "회의 중이다. [지문: 화내며]"
    bodies = [AssistantRequest(prompt=scene), AssistantRequest(prompt=scene, emotion="neutral")]
    spoken = [line_style(body, CHARACTER, line_request(body, PERSONA)).emotion for body in bodies]
    assert spoken == ["anger", "neutral"]
