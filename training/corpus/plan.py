"""What to speak: which sentence, by whom, how fast, with which emotion. A seed fixes all of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.kokoro.voice import NEUTRAL, KokoroVoice, Variant
from training.corpus.grammar import Grammar
from training.corpus.hangul import bigrams
from training.corpus.lexicon import lexicon

Weight = Annotated[float, Field(ge=-1, le=2)]
Source = Literal["written", "grammar", "template"]

_PAUSES_MS = {".": 300.0, "!": 300.0, "?": 320.0, "…": 400.0, ",": 180.0}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Speaker(Strict):
    """A teacher: a mixture of the network's styles. The held-out ones get a list of their own."""

    name: str = Field(pattern=r"^[a-z0-9_-]{1,32}$")
    share: float = Field(gt=0, description="part of the items, relative to the other speakers")
    held_out: bool = False
    timbre: dict[str, Weight] = Field(min_length=1)
    prosody: dict[str, Weight] = Field(default={}, description="empty: the same as the timbre")
    speed: float = Field(default=1.0, ge=0.7, le=1.4)
    pitch_semitones: float = Field(default=0.0, ge=-6, le=6)

    def voice(self) -> KokoroVoice:
        """The voice that speaks this speaker's items."""
        neutral = Variant(self.prosody or self.timbre, self.speed, self.pitch_semitones)
        return KokoroVoice(
            voice_id=self.name,
            version="1",
            language="ko",
            timbre=self.timbre,
            loudness_lufs=-18.0,
            true_peak_dbtp=-1.0,
            pauses_ms=_PAUSES_MS,
            variants={NEUTRAL: neutral},
        )


class CorpusConfig(Strict):
    """Everything that decides the corpus."""

    seed: int
    num_items: int = Field(ge=1, le=1_000_000)
    written_repeats: int = Field(ge=0, description="how often each written sentence is spoken")
    template_share: float = Field(ge=0, le=0.3, description="of all items")
    candidates: int = Field(ge=1, description="sentences drawn for each one that is kept")
    max_chars: int = Field(ge=10)
    speed_range: tuple[float, float]
    style_row: int | None = Field(
        default=None, ge=0, le=509, description="see `KokoroEngine`; None: of each text's length"
    )
    speakers: list[Speaker] = Field(min_length=1)

    @model_validator(mode="after")
    def _speakers_differ(self) -> CorpusConfig:
        names = Counter(speaker.name for speaker in self.speakers)
        if doubled := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"speaker {doubled[0]!r} is listed twice")
        return self


@dataclass(frozen=True)
class Item:
    """One utterance of the corpus."""

    id: str
    text: str
    speaker: str
    speed: float
    source: Source

    @property
    def path(self) -> str:
        """Where its audio lies below the corpus folder."""
        return f"audio/{self.speaker}/{self.id}.flac"


def load_config(path: Path) -> CorpusConfig:
    """Read and check a YAML configuration.

    Raises:
        pydantic.ValidationError: names each unknown, missing or impossible value.
    """
    return CorpusConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def plan(config: CorpusConfig) -> list[Item]:
    """All items, shuffled, so that any beginning of the list is a small corpus of its own."""
    rng = random.Random(config.seed)
    sentences = list(_sentences(config, rng))
    rng.shuffle(sentences)
    speakers = [speaker.name for speaker in config.speakers]
    shares = [speaker.share for speaker in config.speakers]
    return [
        Item(
            id=f"{idx:06d}",
            text=text,
            speaker=rng.choices(speakers, shares)[0],
            speed=round(rng.uniform(*config.speed_range), 2),
            source=source,
        )
        for idx, (text, source) in enumerate(sentences)
    ]


def save_plan(items: list[Item], path: Path) -> None:
    """Write one JSON object a line."""
    lines = (json.dumps(asdict(item), ensure_ascii=False) for item in items)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def load_plan(path: Path) -> list[Item]:
    """Read what `save_plan` wrote."""
    return [Item(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _sentences(config: CorpusConfig, rng: random.Random) -> Iterator[tuple[str, Source]]:
    """Written ones first, then the composed ones that add what those do not cover yet."""
    words = lexicon()
    grammar = Grammar(words, rng)
    written = (words.sentences * config.written_repeats)[: config.num_items]
    heard = Counter(bigram for text in words.sentences for bigram in bigrams(text))
    yield from ((text, "written") for text in written)
    num_templates = min(
        round(config.template_share * config.num_items), config.num_items - len(written)
    )
    for idx in range(config.num_items - len(written)):
        is_template = idx < num_templates
        draw = grammar.from_template if is_template else grammar.sentence
        text = _most_novel(draw, heard, config)
        heard.update(bigrams(text))
        yield text, "template" if is_template else "grammar"


def _most_novel(draw: Callable[[], str], heard: Counter[str], config: CorpusConfig) -> str:
    """Of several candidates the one whose syllable pairs were heard least."""

    def novelty(text: str) -> float:
        if len(text) > config.max_chars:
            return -1.0
        pairs = bigrams(text)
        return sum(1 / (1 + heard[pair]) for pair in pairs) / max(len(pairs), 1)

    return max((draw() for _ in range(config.candidates)), key=novelty)
