"""How text is read aloud, every character of the reading with its source."""

from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Piece:
    """One stretch of source text and how it is read.

    Attributes:
        start, end: the stretch, ``source[start:end]``.
        text: its reading; empty where nothing is spoken (an emoji, a second space).
        is_atomic: whether the stretch must be spoken in one breath: a number, a word in Latin
            letters, a dictionary entry.
        language: ``ko``, or ``en`` for English that is still to be normalised as a whole.
    """

    start: int
    end: int
    text: str
    is_atomic: bool = False
    language: str = "ko"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text is read aloud.

    Attributes:
        source: the written text.
        pieces: stretches that follow one another and together cover `source`.
        text: the reading, the pieces' texts joined.
    """

    source: str
    pieces: tuple[Piece, ...]
    text: str = field(init=False)
    _offsets: list[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        offsets: list[int] = []
        length = 0
        for piece in self.pieces:
            offsets.append(length)
            length += len(piece.text)
        object.__setattr__(self, "text", "".join(piece.text for piece in self.pieces))
        object.__setattr__(self, "_offsets", offsets)

    def source_span(self, idx: int) -> tuple[int, int]:
        """Where in `source` the character ``text[idx]`` comes from, as (start, end)."""
        if not 0 <= idx < len(self.text):
            raise ValueError(
                f"the reading has no character {idx}; allowed: 0 to {len(self.text) - 1}"
            )
        piece = self.pieces[bisect_right(self._offsets, idx) - 1]
        return piece.start, piece.end
