"""Errors of the text front end. All are ValueErrors; what is wrong is in the message.

TextError
├── EmptyText             nothing but white space
├── UnspeakableText       signs, emoji or foreign script only
├── TextTooLong           over the limit
├── InvalidCharacter      a control character or a lone surrogate
├── UnsupportedLanguage   a language without a front end
└── DictionaryError       a pronunciation dictionary that contradicts itself
"""


class TextError(ValueError):
    """Text that can't be spoken as asked."""


class EmptyText(TextError):
    """There is nothing but white space."""


class UnspeakableText(TextError):
    """There is text, but nothing in it is read aloud."""


class TextTooLong(TextError):
    """The text is longer than the limit."""


class InvalidCharacter(TextError):
    """The text holds a control character or a lone surrogate."""


class UnsupportedLanguage(TextError):
    """The language has no front end."""


class DictionaryError(TextError):
    """A pronunciation dictionary contradicts itself, goes in circles or is out of bounds."""
