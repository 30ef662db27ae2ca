"""What can be wrong with a request to the Kokoro engine.

KokoroError
 ├── NothingToSpeak   no symbol of the text can be spoken
 ├── TooManyTokens    a segment is longer than the style table
 ├── OutOfRange       speed outside its limits
 └── InvalidVoice     a voice document is malformed, or names an unknown style or emotion
"""


class KokoroError(ValueError):
    """Base of all errors of this package."""


class NothingToSpeak(KokoroError):
    """A segment holds no Hangul, so there is nothing to say."""


class TooManyTokens(KokoroError):
    """A segment has more tokens than the style table has rows."""

    def __init__(self, num_tokens: int, limit: int) -> None:
        super().__init__(f"a segment of {num_tokens} tokens is too long; at most {limit} fit")
        self.num_tokens = num_tokens
        self.limit = limit

    def __reduce__(self) -> tuple[type["TooManyTokens"], tuple[int, int]]:
        return TooManyTokens, (self.num_tokens, self.limit)


class OutOfRange(KokoroError):
    """A number of the request is outside its limits."""


class InvalidVoice(KokoroError):
    """A voice document cannot be used, or does not have what the request asks for."""
