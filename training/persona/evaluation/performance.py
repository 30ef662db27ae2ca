"""Lets an author write: lines to scenes, each with several seeds, and whole dialogues."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from models.persona.scene import Scene, Turn
from training.persona.evaluation.authors import Author, Written
from training.persona.held_out import HeldOutDialogue, HeldOutScene


@dataclass(frozen=True)
class SceneLine:
    """What was said to a held-out scene with a seed."""

    scene: HeldOutScene
    seed: int
    written: Written


@dataclass(frozen=True)
class DialogueLine:
    """What was said in a turn, counted from 1, of a dialogue."""

    dialogue_id: str
    turn: int
    user: str
    written: Written


@dataclass(frozen=True)
class Performance:
    """All that one author wrote; `timed_s` are seconds of lines that were asked for one by one."""

    name: str
    lines: tuple[SceneLine, ...]
    turns: tuple[DialogueLine, ...]
    timed_s: tuple[float, ...]


async def perform(
    author: Author,
    scenes: Sequence[HeldOutScene],
    dialogues: Sequence[HeldOutDialogue],
    seeds: Sequence[int],
    *,
    num_timed: int,
    num_at_once: int,
) -> Performance:
    """Ask for everything; the first lines one by one, for their time, the others together.

    Args:
        num_timed: lines that are timed; the author is warm by then, for one went before them.
        num_at_once: lines that are asked for at the same time.
    """
    gate = asyncio.Semaphore(num_at_once)
    wanted = [(scene, seed) for seed in seeds for scene in scenes]
    if num_timed:
        await author.write(wanted[0][0].scene, (), seeds[0])
    timed = [await _line(author, scene, seed, gate) for scene, seed in wanted[:num_timed]]
    async with asyncio.TaskGroup() as group:
        lines = [
            group.create_task(_line(author, scene, seed, gate))
            for scene, seed in wanted[num_timed:]
        ]
        talks = [group.create_task(_dialogue(author, talk, gate)) for talk in dialogues]
    return Performance(
        author.name,
        (*timed, *(task.result() for task in lines)),
        tuple(turn for task in talks for turn in task.result()),
        tuple(line.written.total_s for line in timed if line.written.error is None),
    )


async def _line(
    author: Author, scene: HeldOutScene, seed: int, gate: asyncio.Semaphore
) -> SceneLine:
    async with gate:
        return SceneLine(scene, seed, await author.write(scene.scene, (), seed))


async def _dialogue(
    author: Author, dialogue: HeldOutDialogue, gate: asyncio.Semaphore
) -> list[DialogueLine]:
    """Turn by turn; the character remembers what it said, as a client of the service would."""
    history: list[Turn] = []
    lines = []
    for number, user in enumerate(dialogue.turns, start=1):
        async with gate:
            written = await author.write(Scene.parse(user), history, number)
        lines.append(DialogueLine(dialogue.dialogue_id, number, user, written))
        history.append(Turn("user", user))
        if written.text:
            history.append(Turn("character", written.text))
    return lines
