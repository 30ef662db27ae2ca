"""From what a model writes to the line a character says, piece by piece."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

FinishReason = Literal["stop", "length", "time"]

Format = Literal["kept", "repaired", "asked_again"]
"""How far a line kept the form of a line: as it was written; after marks, a role, or what was too
much had been taken out; or only when the model was asked once more, nothing speakable being left.
"""

# Halves of characters that are written in two cannot be sent on as text.
_UNSPOKEN = re.compile(r"[\"“”„‘’「」『』«»*_`\N{REPLACEMENT CHARACTER}\ud800-\udfff]")
_ASIDE = re.compile(r"\([^()]*\)")
_SENTENCE_END = re.compile(r"[.!?…~]+(?=\s|$)")
_HAS_WORD = re.compile(r"[^\W_]")
# Characters read for each that may be spoken; more of them are quotes and asides without a line.
_RAW_PER_CHAR = 8


class LineCleaner:
    """Turns a model's output into a clean line while it is still being written.

    The joined return values of `feed` and `finish` are the line, however the output is cut into
    pieces. Removed: quotation and emphasis marks, asides in parentheses, a role prefix, line breaks
    and repeated spaces. The line ends at the first stop string.

    The first sentence is released word by word. A later one is released when it is complete,
    because a line that grows too long is ended after its last whole sentence.

    A model that writes on without a line is ended as one whose line is too long.

    Args:
        stop: strings that end the line; they are not part of it.
        speaker_names: role prefixes (`부장: …`) to remove.
        max_chars: longest line.
    """

    def __init__(
        self, *, stop: Sequence[str], speaker_names: Sequence[str], max_chars: int
    ) -> None:
        self._stop = tuple(stop)
        self._names = tuple("".join(name.split()) for name in speaker_names)
        self._max_chars = max_chars
        self._max_raw_chars = _RAW_PER_CHAR * max_chars
        self._raw = ""
        self._released = ""
        self._finish_reason: FinishReason | None = None

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the line is over; None while the model may go on."""
        return self._finish_reason

    @property
    def text(self) -> str:
        """All that was released so far; after `finish`, the line."""
        return self._released

    @property
    def is_empty(self) -> bool:
        """Whether nothing that can be spoken was released."""
        return not self._released

    @property
    def is_repaired(self) -> bool:
        """Whether the finished line is anything but what the model wrote up to the stop string."""
        return self._released != self._raw.strip()

    def feed(self, piece: str) -> str:
        """Add a piece of the model's output; return what can be released for sure."""
        if self._finish_reason is not None:
            return ""
        # One more than the bound, however it is cut into pieces.
        self._raw = (self._raw + piece).lstrip()[: self._max_raw_chars + 1]
        cut = min((idx for stop in self._stop if (idx := self._raw.find(stop)) >= 0), default=-1)
        if cut >= 0:
            self._raw = self._raw[:cut]
            self._finish_reason = "stop"
            line = self._clean(self._raw, is_whole=True)
        else:
            line = self._clean(self._without_partial_stop(), is_whole=False)
        if len(line.rstrip()) > self._max_chars or len(self._raw) > self._max_raw_chars:
            self._finish_reason = "length"
        if self._finish_reason is not None:
            return ""
        return self._release(self._settled(line))

    def finish(self, reason: FinishReason = "stop") -> str:
        """End the line; return its rest. `reason` counts only if the line was not over before."""
        self._finish_reason = self._finish_reason or reason
        line = self._clean(self._raw, is_whole=True)
        if len(line) > self._max_chars:
            self._finish_reason = "length"
        if self._finish_reason != "stop":
            line = self._shorten(self._clean(self._without_partial_stop(), is_whole=False))
        return self._release(line)

    def _release(self, line: str) -> str:
        # Punctuation alone is no line: held, so that an empty line has released nothing.
        if _HAS_WORD.search(line) is None:
            return ""
        delta = line[len(self._released) :]
        self._released = line
        return delta

    def _without_partial_stop(self) -> str:
        held = max(
            size
            for stop in (*self._stop, "")
            for size in range(len(stop) + 1)
            if size < max(len(stop), 1) and self._raw.endswith(stop[:size])
        )
        return self._raw[: len(self._raw) - held]

    def _clean(self, raw: str, *, is_whole: bool) -> str:
        text = _UNSPOKEN.sub("", raw)
        while (shorter := _ASIDE.sub(" ", text)) != text:
            text = shorter
        text = text.partition("(")[0].replace(")", "")
        text = re.sub(r"\s+", " ", text).lstrip()
        text = self._without_role(text, is_whole=is_whole)
        return text.rstrip() if is_whole else text

    def _without_role(self, text: str, *, is_whole: bool) -> str:
        for name in self._names:
            spaced = r"\s*".join(map(re.escape, name))
            if match := re.match(rf"{spaced}\s*[:：]\s*", text):
                return text[match.end() :]
        compact = text.replace(" ", "")
        may_become_role = any(name.startswith(compact) for name in self._names)
        return "" if may_become_role and not is_whole else text

    def _settled(self, line: str) -> str:
        """The part of an unfinished line that every continuation keeps.

        Whole words of the first sentence, and whole sentences after it; one that ends where the
        text ends is not whole yet, for the next piece may be `…` or a digit.
        """
        settled = line[: self._max_chars].rpartition(" ")[0]  # room for the mark of a cut
        ends = [end.end() for end in _SENTENCE_END.finditer(line) if end.end() < len(line)]
        return line[: ends[-1]] if ends else settled

    def _shorten(self, line: str) -> str:
        """End a line that was cut off after its last whole sentence, else after a whole word."""
        ends = [end.end() for end in _SENTENCE_END.finditer(line) if end.end() <= self._max_chars]
        if ends:
            return line[: ends[-1]]
        words = line[: self._max_chars].rpartition(" ")[0]
        return f"{words}…" if words else ""
