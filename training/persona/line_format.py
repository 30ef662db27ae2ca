"""Whether a model's own answer is a line that can be spoken as it stands."""

from __future__ import annotations

import re

from models.persona.persona import Persona, Script
from models.persona.scene import neutralize
from models.persona.speech_level import SENTENCE_MARKS

_UNSPOKEN = re.compile(r"[\"“”„‘’「」『』«»*_`()\N{REPLACEMENT CHARACTER}]")
_HANGUL_LINE = re.compile(rf"[가-힣 ,{re.escape(SENTENCE_MARKS)}]+")
_HAS_WORD = re.compile(r"[^\W_]")


def fault_of(persona: Persona, text: str, *, ended: bool) -> str | None:
    """What is wrong with an answer; None for a well-formed line.

    Args:
        text: what the model wrote before its end token, or before it was cut off.
        ended: whether it ended by itself.
    """
    line = text.strip()
    if not ended:
        return "does not end"
    if _HAS_WORD.search(line) is None:
        return "empty"
    if any(stop in line for stop in persona.stop) or neutralize(line) != line:
        return "prompt structure"
    if _UNSPOKEN.search(line) or any(line.startswith(f"{n}:") for n in persona.speaker_names):
        return "role, quotation or aside"
    if not _fits(persona.script, line):
        return "other script"
    if len(line) > persona.sampling.max_line_chars:
        return "too long"
    if not line.endswith(tuple(SENTENCE_MARKS)):
        return "unfinished sentence"
    return None


def _fits(script: Script, line: str) -> bool:
    return script == "any" or _HANGUL_LINE.fullmatch(line) is not None
