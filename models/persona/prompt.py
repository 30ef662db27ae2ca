"""The prompt a persona's model continues: three `###` sections, written one way everywhere.

The part that is the same for every request of a persona (instruction and examples) comes first and
is kept apart, so that an engine computes it once:

    ### <instruction>          prefix      character sheet
    ### <input> ### <response> prefix      once per example
    ### <input> ### <response> suffix      once per remembered turn of each side
    ### <input>                suffix      the scene
    ### <response>             suffix      the model continues here
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.persona.persona import Persona
from models.persona.scene import MAX_HISTORY_TURNS, Scene, SceneError, Turn


@dataclass(frozen=True)
class Prompt:
    """Text to continue. `prefix` depends on the persona alone, `suffix` on the request.

    `num_history_turns` says how many of the given turns fitted the budget.
    """

    prefix: str
    suffix: str
    num_history_turns: int


def build_prompt(
    persona: Persona,
    scene: Scene,
    history: Sequence[Turn],
    *,
    count_tokens: Callable[[str], int],
    max_history_tokens: int,
) -> Prompt:
    """Write the prompt for one line.

    Args:
        history: earlier turns, oldest first.
        count_tokens: how many tokens the model reads a text as.
        max_history_tokens: the oldest turns are left out until the rest fits in this many.

    Raises:
        SceneError: there are more turns than allowed.
    """
    if len(history) > MAX_HISTORY_TURNS:
        raise SceneError(
            f"the history has {len(history)} turns; at most {MAX_HISTORY_TURNS} are allowed"
        )
    past, num_turns = _fit_history(persona, history, count_tokens, max_history_tokens)
    scene_section = _section(persona.template.input, scene.to_input())
    return Prompt(
        prefix=prompt_prefix(persona),
        suffix=f"{past}{scene_section}{persona.template.response}\n",
        num_history_turns=num_turns,
    )


def prompt_prefix(persona: Persona) -> str:
    """Character sheet and examples: how every prompt of this persona begins."""
    template = persona.template
    sections = [_section(template.instruction, persona.instruction)]
    for example in persona.examples:
        sections.append(_section(template.input, example.to_input()))
        sections.append(_section(template.response, example.line))
    return "".join(sections)


def _fit_history(
    persona: Persona,
    history: Sequence[Turn],
    count_tokens: Callable[[str], int],
    max_tokens: int,
) -> tuple[str, int]:
    sections: list[str] = []
    num_tokens = 0
    for turn in reversed(history):
        section = _turn_section(persona, turn)
        num_tokens += count_tokens(section)
        if num_tokens > max_tokens:
            break
        sections.append(section)
    return "".join(reversed(sections)), len(sections)


def _turn_section(persona: Persona, turn: Turn) -> str:
    template = persona.template
    return _section(template.input if turn.role == "user" else template.response, turn.text)


def _section(header: str, body: str) -> str:
    return f"{header}\n{body}\n\n"
