"""English words to ARPAbet phones, as the reference finds them."""

import re

from models.text.english.homographs import homograph
from models.text.english.lexicon import dictionary, spell, word_phones

# NLTK's TweetTokenizer, reduced to what normalised text can hold.
_TOKEN = re.compile(
    r"[a-z]+(?:[.\-][a-z]+){0,126}\.[a-z]{2,13}\b"  # a naked domain: "lunch.that" is one token
    r"|[a-z](?:[a-z]|['\-])+[a-z]"
    r"|[a-z]+|\.(?: *\.)+|\S",
    re.IGNORECASE,
)
_REPEATED_SIGN = re.compile(r"([^a-z])\1{3,}", re.IGNORECASE)


def phones(normalized: str) -> list[str]:
    """Phones and punctuation of normalised text; spaces are not spoken."""
    tokens = _TOKEN.findall(_REPEATED_SIGN.sub(r"\1\1\1", normalized))
    words = [token.lower() for token in tokens]
    return [phone for at in range(len(tokens)) for phone in _token_phones(tokens, words, at)]


def _token_phones(tokens: list[str], words: list[str], at: int) -> list[str]:
    word = words[at]
    if not re.search("[a-z]", word):
        return [word]
    if len(word) == 1:
        return ["EY1"] if tokens[at] == "A" else dictionary().get(word) or spell(word)
    return homograph(words, at) or word_phones(word)
