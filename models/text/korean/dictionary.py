"""The caller's pronunciation dictionary: written form -> reading, before every rule."""

import re
from collections.abc import Iterable, Iterator, Mapping

from models.text.errors import DictionaryError
from models.text.korean.folding import fold

MAX_ENTRIES = 2_000
MAX_ENTRY_CHARS = 100
MAX_EXPANDED_CHARS = 1_000  # readings made of readings of readings grow exponentially
_MAX_NESTING = 50


class PronunciationDictionary:
    """Readings that win over every rule; the longest written form wins over shorter ones.

    A reading may use other entries; it is expanded once, here. A written form that begins or ends
    with a Latin letter or a digit matches only where the word or number ends too: ``AI`` does not
    match inside ``MAIN``.
    """

    def __init__(self, entries: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        """Checks and compiles `entries`.

        Raises:
            DictionaryError: on an empty or overlong form, one written form with two readings,
                readings that lead back to themselves or grow without bound through one another,
                or too many entries.
        """
        self._readings = _checked(entries)
        self._pattern = _compile(self._readings)
        self._spoken: dict[str, str] = {}
        for written in self._readings:
            self._expand(written, ())

    def __len__(self) -> int:
        return len(self._readings)

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where entries apply in folded `text`: (start, end, reading), from left to right."""
        if self._pattern is None:
            return
        for match in self._pattern.finditer(text):
            yield match.start(), match.end(), self._spoken[match[0]]

    def _expand(self, written: str, path: tuple[str, ...]) -> str:
        if written in path:
            circle = " -> ".join([*path[path.index(written) :], written])
            raise DictionaryError(f"dictionary entries lead back to themselves: {circle}")
        if written not in self._spoken:
            assert self._pattern is not None
            if len(path) >= _MAX_NESTING:
                raise DictionaryError(
                    f"dictionary entries use one another too deeply, from {path[0]!r} on; "
                    f"allowed: {_MAX_NESTING} steps"
                )
            reading = self._pattern.sub(
                lambda m: self._expand(m[0], (*path, written)), self._readings[written]
            )
            if len(reading) > MAX_EXPANDED_CHARS:
                raise DictionaryError(
                    f"the reading of {written!r}, with the entries it uses, has {len(reading)} "
                    f"characters; allowed: {MAX_EXPANDED_CHARS}"
                )
            self._spoken[written] = reading
        return self._spoken[written]


def _checked(entries: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    readings: dict[str, str] = {}
    for written, reading in entries.items() if isinstance(entries, Mapping) else entries:
        key, spoken = (fold(part).text.strip() for part in (written, reading))
        if not key or not spoken:
            raise DictionaryError(
                f"a dictionary entry needs both forms; got {written!r}: {reading!r}"
            )
        if max(len(key), len(spoken)) > MAX_ENTRY_CHARS:
            raise DictionaryError(
                f"the dictionary entry {key[:20]!r}… is too long; allowed: "
                f"{MAX_ENTRY_CHARS} characters"
            )
        if readings.setdefault(key, spoken) != spoken:
            raise DictionaryError(
                f"the dictionary reads {key!r} as both {readings[key]!r} and {spoken!r}"
            )
    if len(readings) > MAX_ENTRIES:
        raise DictionaryError(f"{len(readings)} dictionary entries; allowed: {MAX_ENTRIES}")
    return readings


def _compile(readings: Mapping[str, str]) -> re.Pattern[str] | None:
    if not readings:
        return None
    longest_first = sorted(readings, key=len, reverse=True)
    return re.compile("|".join(map(_bounded, longest_first)))


def _bounded(written: str) -> str:
    first, last = (_edge_class(char) for char in (written[0], written[-1]))
    return (f"(?<!{first})" if first else "") + re.escape(written) + (f"(?!{last})" if last else "")


def _edge_class(char: str) -> str:
    if char.isascii() and char.isalpha():
        return "[A-Za-z]"
    return r"\d" if char.isdigit() else ""


EMPTY_DICTIONARY = PronunciationDictionary()
