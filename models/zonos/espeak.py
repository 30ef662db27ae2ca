"""espeak-ng, through the wrapper of the package `phonemizer`; nothing else here knows of either.

Both are under the GPL and are not installed with this project: whoever wants this engine installs
them. Only the wrapper's binding of the library is used, never its command-line program, which
stresses words that stand alone.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib import import_module
from typing import Any

from models.text.errors import UnsupportedLanguage
from models.zonos.errors import MissingLibrary

HOW_TO_INSTALL = "apt-get install libespeak-ng1; pip install phonemizer==3.3.0"


class Espeak:
    """Pronounces text. The library has one voice at a time, so calls take turns."""

    def __init__(self) -> None:
        try:
            wrapper = import_module("phonemizer.backend.espeak.wrapper")
            self._library: Any = wrapper.EspeakWrapper()
            self.version: tuple[int, ...] = self._library.version
        except (ImportError, RuntimeError, OSError) as error:
            raise MissingLibrary(f"phonemes need espeak-ng: {HOW_TO_INSTALL} ({error})") from error
        self._lock = threading.Lock()
        self._language: str | None = None

    def phonemes(self, text: str, language: str) -> str:
        """What the library makes of a piece of text, as it is: IPA with `_` between sounds.

        Args:
            text: one line.
            language: code of a voice, such as ``en-us``; of several voices the first is taken.

        Raises:
            UnsupportedLanguage: espeak-ng has no voice for it.
        """
        with self._lock:
            if language != self._language:
                self._select(language)
            phonemes: str = self._library.text_to_phonemes(text)
        return phonemes

    def _select(self, language: str) -> None:
        try:
            self._library.set_voice(language)
        except RuntimeError as error:
            raise UnsupportedLanguage(f"espeak-ng has no voice for {language!r}") from error
        self._language = language


@cache
def espeak() -> Espeak:
    """The library, loaded once per process.

    Raises:
        MissingLibrary: it or its wrapper is not installed; the message says what to install.
    """
    return Espeak()
