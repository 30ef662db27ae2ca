"""How much of everyday Korean a corpus has heard, as a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from models.text.korean import normalize, pronounce
from training.corpus.hangul import bigrams, bigrams_in_words
from training.corpus.plan import Item

PairsOf = Callable[[str], list[str]]

EVERYDAY = Path(__file__).parent / "data" / "everyday.txt"


def covered_share(heard: list[str], wanted: list[str], pairs_of: PairsOf = bigrams) -> float:
    """Share of the syllable pairs of `wanted`, each as often as it occurs, that `heard` has."""
    known = {pair for text in heard for pair in bigrams(text)}
    pairs = [pair for text in wanted for pair in pairs_of(text)]
    return sum(pair in known for pair in pairs) / len(pairs)


def report(items: list[Item]) -> str:
    """Sizes, shares of the sources, and coverage of everyday sentences that are not spoken."""
    texts = [item.text for item in items]
    lines = EVERYDAY.read_text(encoding="utf-8").splitlines()
    everyday = [line for line in lines if line and not line.startswith("#")]
    overlap = len(set(texts) & set(everyday))
    spoken = [pronounce(normalize(text)) for text in texts]
    spoken_everyday = [pronounce(normalize(text)) for text in everyday]
    sources = Counter(item.source for item in items)
    speakers = Counter(item.speaker for item in items)
    pairs = {pair for text in texts for pair in bigrams(text)}
    syllables = [char for text in texts for char in text if "가" <= char <= "힣"]
    return "\n".join(
        (
            f"items             {len(items)} ({len(set(texts))} different)",
            *(f"  {name:15} {count / len(items):6.1%}" for name, count in sources.most_common()),
            "speakers          "
            + ", ".join(f"{name} {count}" for name, count in speakers.most_common()),
            f"syllables         {len(syllables)} ({len(set(syllables))} different)",
            f"syllable pairs    {len(pairs)} different",
            "syllable pairs of everyday sentences that the corpus has",
            f"  as written      {_share(texts, everyday)}",
            f"  as pronounced   {_share(spoken, spoken_everyday)}",
            f"everyday sentences in the corpus: {overlap} of {len(everyday)}",
        )
    )


def _share(heard: list[str], wanted: list[str]) -> str:
    in_words = covered_share(heard, wanted, bigrams_in_words)
    return f"{in_words:6.1%} within words, {covered_share(heard, wanted):6.1%} across them too"
