from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.kokoro.__main__ import embedded_voice
from training.corpus.conjugation import Stem
from training.corpus.coverage import EVERYDAY, covered_share
from training.corpus.grammar import Grammar
from training.corpus.hangul import bigrams, bigrams_in_words, with_particle
from training.corpus.lexicon import lexicon
from training.corpus.plan import CorpusConfig, load_config, plan

CONFIG = Path(__file__).parents[2] / "training" / "configs" / "corpus.yaml"


@pytest.mark.parametrize(
    ("stem", "irregular", "ending", "expected"),
    [
        ("먹", "", "(아)요", "먹어요"),
        ("가", "", "(아)서", "가서"),
        ("오", "", "(았)다", "왔다"),
        ("배우", "", "(아)요", "배워요"),
        ("마시", "", "(았)어", "마셨어"),
        ("보내", "", "(아)라", "보내라"),
        ("되", "", "(았)다", "됐다"),
        ("쉬", "", "(았)다", "쉬었다"),
        ("청소하", "", "(았)네요", "청소했네요"),
        ("살", "", "네요", "사네요"),
        ("살", "", "ㅂ니다/습니다", "삽니다"),
        ("살", "", "(으)면", "살면"),
        ("살", "", "(으)세요", "사세요"),
        ("살", "", "(으)ㄹ게요", "살게요"),
        ("살", "", "고", "살고"),
        ("먹", "", "ㄴ다/는다", "먹는다"),
        ("가", "", "ㄴ다/는다", "간다"),
        ("가", "", "(으)ㅂ시다", "갑시다"),
        ("먹", "", "(으)ㅂ시다", "먹읍시다"),
        ("춥", "ㅂ", "(아)요", "추워요"),
        ("춥", "ㅂ", "(으)면", "추우면"),
        ("춥", "ㅂ", "(으)ㄴ데", "추운데"),
        ("춥", "ㅂ", "지만", "춥지만"),
        ("돕", "ㅂ", "(았)다", "도왔다"),
        ("듣", "ㄷ", "(으)면", "들으면"),
        ("듣", "ㄷ", "(아)서", "들어서"),
        ("듣", "ㄷ", "는데", "듣는데"),
        ("깨닫", "ㄷ", "(았)다", "깨달았다"),
        ("짓", "ㅅ", "(아)요", "지어요"),
        ("낫", "ㅅ", "(았)다", "나았다"),
        ("모르", "르", "(아)요", "몰라요"),
        ("부르", "르", "(았)다", "불렀다"),
        ("따르", "으", "(아)요", "따라요"),
        ("푸르", "러", "(아)서", "푸르러서"),
        ("그렇", "ㅎ", "(아)요", "그래요"),
        ("하얗", "ㅎ", "(으)ㄴ데", "하얀데"),
        ("하얗", "ㅎ", "(아)요", "하얘요"),
        ("쓰", "", "(아)요", "써요"),
        ("예쁘", "", "(아)요", "예뻐요"),
        ("아프", "", "(았)다", "아팠다"),
        ("보여 주", "", "(아)요", "보여 줘요"),
    ],
)
def test_stem_and_ending_join_as_spelling_asks(
    stem: str, irregular: str, ending: str, expected: str
) -> None:
    assert Stem(stem, irregular).attach(ending) == expected


@pytest.mark.parametrize(
    ("noun", "particle", "expected"),
    [
        ("책", "를", "책을"),
        ("나무", "를", "나무를"),
        ("물", "으로", "물로"),
        ("집", "으로", "집으로"),
        ("학교", "으로", "학교로"),
        ("나", "가", "내가"),
        ("사랑", "라는", "사랑이라는"),
        ("집", "에서", "집에서"),
    ],
)
def test_particle_agrees_with_its_noun(noun: str, particle: str, expected: str) -> None:
    assert with_particle(noun, particle) == expected


def test_pairs_of_syllables_go_across_a_space_but_not_across_a_mark() -> None:
    assert bigrams("가나 다, 라마") == ["가나", "나다", "라마"]
    assert bigrams_in_words("가나 다, 라마") == ["가나", "라마"]


def test_sentences_are_hangul_with_one_final_mark_and_no_slot_left() -> None:
    grammar = Grammar(lexicon(), random.Random(5))
    for draw in (grammar.sentence, grammar.from_template):
        for _ in range(500):
            assert re.fullmatch(r"[가-힣 ,.?!]+[.?!]", sentence := draw()), sentence


def test_every_written_line_and_noun_is_hangul() -> None:
    words = lexicon()
    for text in (*words.sentences, *(noun for nouns in words.nouns.values() for noun in nouns)):
        assert re.fullmatch(r"[가-힣 ,.?!]+", text), text


def test_plan_depends_on_its_seed_alone() -> None:
    config = _small()
    assert plan(config) == plan(config) != plan(config.model_copy(update={"seed": 2}))


def test_plan_keeps_its_shares() -> None:
    items = plan(_small(num_items=1000, template_share=0.25, written_repeats=1))
    sources = Counter(item.source for item in items)
    assert sources["template"] == 250
    assert sources["written"] == len(lexicon().sentences)
    assert len({item.id for item in items}) == len(items) == 1000


def test_shipped_configuration_covers_everyday_pairs_without_repeating_the_sentences() -> None:
    texts = [item.text for item in plan(load_config(CONFIG))]
    everyday = [line for line in EVERYDAY.read_text().splitlines() if not line.startswith("#")]
    assert not set(texts) & set(everyday)
    assert covered_share(texts, everyday, bigrams_in_words) > 0.9


@pytest.mark.parametrize("voice_id", ["bujang", "sinip"])
def test_teacher_of_a_character_has_the_timbre_of_the_shipped_voice(voice_id: str) -> None:
    shipped = embedded_voice(voice_id)
    (speaker,) = (s for s in load_config(CONFIG).speakers if s.name == voice_id)
    assert speaker.voice().timbre == shipped.timbre


def test_templates_beyond_thirty_percent_are_refused() -> None:
    with pytest.raises(ValidationError, match="template_share"):
        CorpusConfig.model_validate(_small().model_dump() | {"template_share": 0.31})


def test_two_speakers_of_one_name_are_refused() -> None:
    settings = _small().model_dump()
    settings["speakers"] *= 2
    with pytest.raises(ValidationError, match="speaker 'kumo' is listed twice"):
        CorpusConfig.model_validate(settings)


def _small(**changes: object) -> CorpusConfig:
    settings: dict[str, object] = {
        "seed": 1,
        "num_items": 400,
        "written_repeats": 1,
        "template_share": 0.2,
        "candidates": 2,
        "max_chars": 60,
        "speed_range": [0.9, 1.1],
        "speakers": [{"name": "kumo", "share": 1, "timbre": {"jm_kumo": 1.0}}],
    }
    return CorpusConfig.model_validate(settings | changes)
