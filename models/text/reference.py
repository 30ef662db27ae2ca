"""Text to phonemes exactly as GPT-SoVITS v2 does it, for its checkpoints' own tests and prompts.

The service reads text through `models.text.frontend`; this path has no Korean normaliser.
"""

import re
from dataclasses import dataclass

from models.text import english
from models.text.errors import UnsupportedLanguage
from models.text.korean.phonemes import phones as korean_phones
from models.text.languages import LanguagePiece, language_pieces
from models.text.symbols import ids_of, symbol_ids

_MIN_PHONES = 6
_MIN_ENGLISH_PHONES = 4
_BARE_VOWEL = "UW"  # a phone of the predictor that the model has no symbol for


@dataclass(frozen=True, slots=True)
class ReferencePhonemes:
    """Phones of a text, their ids, and the text they were made from."""

    phones: list[str]
    ids: list[int]
    norm_text: str


def reference_phonemes(text: str, language: str) -> ReferencePhonemes:
    """Phonemes of `text` at inference: segmented by language, padded when very short.

    Args:
        text: raw text.
        language: ``en``, ``ko``, ``all_ko`` or ``auto``.

    Raises:
        UnsupportedLanguage: for another language, or a piece of text in one.
    """
    text = re.sub(" {2,}", " ", text)
    spoken = _speak(text, language)
    return spoken if len(spoken.phones) >= _MIN_PHONES else _speak("." + text, language)


def piece_phonemes(text: str, language: str) -> ReferencePhonemes:
    """Phonemes of text in one language, ``ko`` or ``en``, as training data is prepared."""
    if language == "ko":
        phones = korean_phones(text)
        return ReferencePhonemes(phones, ids_of(phones), text)
    if language == "en":
        normalized = english.normalize(text)
        phones = english_phones(normalized)
        return ReferencePhonemes(phones, ids_of(phones), normalized)
    raise UnsupportedLanguage(f"text in {language!r} is not supported yet; supported: ko, en")


def english_phones(normalized: str) -> list[str]:
    """Phones of normalised English the model has symbols for; a comma opens very short text."""
    known = symbol_ids()
    renamed = {"<unk>": "UNK", "'": "-"}
    phones = [renamed.get(phone, phone) for phone in english.phones(normalized)]
    phones = [phone for phone in phones if phone in known and phone != _BARE_VOWEL]
    return phones if len(phones) >= _MIN_ENGLISH_PHONES else [",", *phones]


def _speak(text: str, language: str) -> ReferencePhonemes:
    pieces = [piece_phonemes(piece.text, piece.language) for piece in _pieces(text, language)]
    return ReferencePhonemes(
        [phone for piece in pieces for phone in piece.phones],
        [idx for piece in pieces for idx in piece.ids],
        "".join(piece.norm_text for piece in pieces),
    )


def _pieces(text: str, language: str) -> list[LanguagePiece]:
    if language == "en":
        return [LanguagePiece("en", text)]
    if language == "all_ko":
        return language_pieces(text, "ko")
    if language == "auto":
        return language_pieces(text)
    if language != "ko":
        raise UnsupportedLanguage(
            f"language {language!r} is not supported yet; supported: ko, en, all_ko, auto"
        )
    merged: list[LanguagePiece] = []
    for piece in language_pieces(text):
        name = "en" if piece.language == "en" else "ko"
        if merged and merged[-1].language == name:
            merged[-1] = LanguagePiece(name, merged[-1].text + piece.text)
        else:
            merged.append(LanguagePiece(name, piece.text))
    return merged
