"""Words spelled alike and said in two ways: to reCORD, a REcord.

The pairs come from g2p_en's table. The reference asks NLTK's part-of-speech tagger, whose model can
only be downloaded; a look at the word before decides here, with its tags. Where it is silent a word
is a noun, as for the reference without tagger data.
"""

from functools import cache

from models.text.packaged_data import packaged_file

_BEFORE_INFINITIVE = set(
    "to will would can could shall should may might must do does did don't doesn't didn't "
    "can't won't "
    "not please let's let help never always also".split()
)
_BEFORE_PRESENT = set("i you we they who people".split())
_BEFORE_PARTICIPLE = set(
    "have has had been be is are was were being get got i've you've we've they've".split()
)
_CHANGED = {
    "read": ("R IY1 D", "R EH1 D", "VBP"),
    "complex": ("K AH0 M P L EH1 K S", "K AA1 M P L EH0 K S", "JJ"),
}


@cache
def _table() -> dict[str, tuple[str, str, str]]:
    text = packaged_file("g2p-en", "g2p_en/homographs.en").read_text(encoding="utf-8")
    table: dict[str, tuple[str, str, str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, first, second, tag = line.split("|")
            table[word.lower()] = (first, second, tag)
    return {**table, **_CHANGED}


def homograph(words: list[str], at: int) -> list[str] | None:
    """Phones of the homograph ``words[at]`` in its sentence, or None if it is none.

    Args:
        words: lower-case tokens of the sentence.
    """
    entry = _table().get(words[at])
    if entry is None:
        return None
    first, second, wanted = entry
    tag = _tag(words, at)
    return (first if tag.startswith(wanted) or wanted.startswith(tag) else second).split()


def _tag(words: list[str], at: int) -> str:
    """A Penn Treebank tag, as far as the neighbours tell."""
    previous = words[at - 1] if at else ""
    following = words[at + 1] if at + 1 < len(words) else ""
    if words[at] == "complex":
        return (
            "JJ"
            if previous in {"is", "are", "very", "more", "too", "so", "a", "the"}
            and (following.isalpha() or previous not in {"a", "the"})
            else "NN"
        )
    if previous in _BEFORE_INFINITIVE:
        return "VB"
    if previous in _BEFORE_PRESENT:
        return "VBP"
    return "VBN" if previous in _BEFORE_PARTICIPLE else "NN"
