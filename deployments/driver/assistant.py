"""From the body of `/assistant` to what the persona engine is asked."""

from __future__ import annotations

import secrets

from deployments.driver.catalog import Character, Style
from deployments.driver.request_context import current_request_id
from deployments.driver.requests import AssistantRequest
from deployments.engine.batching.priority import Priority
from deployments.engine.persona.protocol import LineRequest
from deployments.errors import InvalidInput
from models.persona.emotion import emotion_of
from models.persona.persona import Persona
from models.persona.scene import Scene, SceneError, Turn

# A seed that comes back from JSON as it went.
_DRAWN_SEED_BITS = 53


def line_style(body: AssistantRequest, character: Character, request: LineRequest) -> Style:
    """How a line is spoken: in the caller's emotion, else in what the stage direction asks for.

    Its seed is that of the words, so that who names it again hears the same.

    Raises:
        SpeechError: see `Voice.style`.
    """
    emotion = emotion_of(request.scene.direction) if body.emotion is None else body.emotion
    return character.voice.style("ko", emotion, 1.0, character.dictionary, request.seed)


def line_request(
    body: AssistantRequest, persona: Persona, priority: Priority = "interactive"
) -> LineRequest:
    """What `persona` is asked to answer; a seed is drawn unless the caller gave one.

    Args:
        priority: whether somebody listens.

    Raises:
        InvalidInput: the scene or a turn is empty or too long.
    """
    try:
        scene = Scene.parse(
            body.prompt,
            category=body.category or "",
            style=body.style or "",
            direction=body.direction or "",
        )
        history = tuple(Turn(turn.role, turn.text) for turn in body.history)
    except SceneError as error:
        raise InvalidInput(str(error)) from error
    return LineRequest(
        request_id=current_request_id(),
        persona=persona,
        scene=scene,
        history=history,
        seed=secrets.randbits(_DRAWN_SEED_BITS) if body.seed is None else body.seed,
        llm=body.llm,
        priority=priority,
    )
