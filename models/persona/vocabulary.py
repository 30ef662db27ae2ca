"""Which of a model's tokens a line may be drawn from, and which of them end something."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from models.persona.persona import Script
from models.persona.speech_level import SENTENCE_MARKS, is_polite_piece

# Latin, other scripts and digits are left out of a Hangul line: a small multilingual model drifts
# into them, and a Korean voice misreads them. A line break ends the line.
_HANGUL_PIECE = re.compile(r"[가-힣 ]+|[.,!?…~ ]+|\n+")
_SENTENCEPIECE_SPACE = "▁"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens that may be drawn, by id and in order, and what each of them writes.

    The other fields are indices into `token_ids`: `sentence_ends` are tokens that begin with a
    sentence mark, `pauses` with a comma, `line_ends` with a line break (the end token is one of
    them); `polite_endings` end like a polite verb.
    """

    token_ids: tuple[int, ...]
    texts: tuple[str, ...]
    sentence_ends: tuple[int, ...]
    pauses: tuple[int, ...]
    line_ends: tuple[int, ...]
    polite_endings: tuple[int, ...]


def vocabulary_of(tokenizer: PreTrainedTokenizerBase, script: Script) -> Vocabulary:
    """The tokens a line in `script` may be drawn from, the end token included."""
    special_ids = set(tokenizer.all_special_ids)
    pieces = {
        token_id: piece.replace(_SENTENCEPIECE_SPACE, " ")
        for piece, token_id in tokenizer.get_vocab().items()
        if token_id not in special_ids
    }
    if script == "hangul":
        pieces = {idx: piece for idx, piece in pieces.items() if _HANGUL_PIECE.fullmatch(piece)}
    pieces[tokenizer.eos_token_id] = "\n"
    token_ids = tuple(sorted(pieces))

    def where(is_one: Callable[[str], bool]) -> tuple[int, ...]:
        return tuple(idx for idx, token_id in enumerate(token_ids) if is_one(pieces[token_id]))

    def starting_with(marks: str) -> tuple[int, ...]:
        return where(lambda piece: piece.lstrip(" ").startswith(tuple(marks)))

    return Vocabulary(
        token_ids=token_ids,
        texts=tuple(pieces[token_id] for token_id in token_ids),
        sentence_ends=starting_with(SENTENCE_MARKS),
        pauses=starting_with(","),
        line_ends=starting_with("\n"),
        polite_endings=where(lambda piece: is_polite_piece(piece.lstrip(" "))),
    )
