"""From the body of `/assistant` to what the persona engine is asked."""

from __future__ import annotations

import secrets

from deployments.driver.emotion import Emotion
from deployments.driver.request_context import current_request_id
from deployments.driver.requests import AssistantRequest
from deployments.engine.batching.priority import Priority
from deployments.engine.persona.protocol import LineRequest
from deployments.errors import InvalidInput
from models.persona.emotion import emotion_of
from models.persona.persona import Persona
from models.persona.scene import Scene, SceneError, Turn


def line_emotion(body: AssistantRequest, request: LineRequest) -> Emotion:
    """The emotion a line is spoken with: the caller's, else what the stage direction asks for."""
    if body.emotion is not None:
        return body.emotion
    return emotion_of(request.scene.direction)


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
        seed=secrets.randbits(63) if body.seed is None else body.seed,
        llm=body.llm,
        priority=priority,
    )
