"""The guide: speech level, ending pressure, no repeats."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from deployments.engine.persona.choices import Choices
from deployments.engine.persona.guide import LineGuide
from models.persona.persona import Sampling
from models.persona.speech_level import SpeechLevel
from models.persona.training_lines import TrainingLines
from models.persona.vocabulary import Vocabulary

# 가 나 어요 . , newline
CHOICES = Choices(
    Vocabulary(
        token_ids=(10, 11, 12, 20, 21, 30),
        texts=("가", "나", "어요", ".", ",", "\n"),
        sentence_ends=(3,),
        pauses=(4,),
        line_ends=(5,),
        polite_endings=(2,),
    ),
    head=torch.zeros(6, 4),
)
GA, NA, YO, MARK, COMMA, BREAK = range(6)


def guide(
    level: SpeechLevel | None,
    known_ids: Sequence[Sequence[int]] = (),
    training_lines: TrainingLines | None = None,
    **sampling: int,
) -> LineGuide:
    return LineGuide(
        CHOICES,
        speech_level=level,
        sampling=Sampling(**sampling),
        known_ids=known_ids,
        training_lines=training_lines,
    )


def ruled_out(line: LineGuide, text: str) -> set[int]:
    logits = line.adjust(torch.zeros(6), text)
    return {idx for idx, value in enumerate(logits.tolist()) if value == -float("inf")}


def test_a_polite_sentence_ends_only_politely() -> None:
    assert ruled_out(guide("polite"), "그렇다") == {MARK, COMMA, BREAK}
    assert ruled_out(guide("polite"), "그래요") == {BREAK}
    assert ruled_out(guide("polite"), "그래요.") == set()


def test_a_plain_line_never_draws_a_polite_ending() -> None:
    assert ruled_out(guide("plain"), "그렇다") == {YO, BREAK}


def test_without_a_level_nothing_is_ruled_out() -> None:
    assert ruled_out(guide(None), "그래요") == set()


def test_endings_gain_with_every_token_that_a_sentence_is_too_long() -> None:
    line = guide("polite", sentence_tokens=2)
    gains = []
    for idx in (GA, NA, GA, NA, MARK):
        logits = line.adjust(torch.zeros(6), "그래요")
        gains.append((logits[MARK].item(), logits[YO].item()))
        line.observe(idx)
    gains.append((line.adjust(torch.zeros(6), "그래요.")[MARK].item(), 0.0))

    expected = [0.0, 0.0, 0.0, 0.3, 0.6, 0.0]
    torch.testing.assert_close([mark for mark, _ in gains], expected)
    torch.testing.assert_close([polite for _, polite in gains[:5]], expected[:5])


def test_a_run_of_a_known_text_is_not_drawn_again() -> None:
    line = guide(None, known_ids=[(12,), (10, 11, 10, 20)], no_repeat_tokens=3)
    line.observe(GA)
    assert ruled_out(line, "") == set()
    line.observe(NA)
    assert ruled_out(line, "") == {GA}


def test_two_known_texts_make_no_run_together() -> None:
    line = guide(None, known_ids=[(10,), (11,)], no_repeat_tokens=2)
    line.observe(GA)

    assert ruled_out(line, "") == set()


def test_a_run_of_the_line_is_not_drawn_again() -> None:
    line = guide(None, no_repeat_tokens=2)
    for idx in (GA, NA, GA):
        line.observe(idx)

    assert ruled_out(line, "") == {NA}


def test_an_end_is_no_repeat() -> None:
    line = guide(None, known_ids=[(10, 20, 11, 30)], no_repeat_tokens=2)
    line.observe(GA)
    assert ruled_out(line, "") == set()
    line.observe(NA)
    assert ruled_out(line, "") == set()


def test_a_training_line_is_not_recited() -> None:
    lines = TrainingLines("가나어요.\n가가,\n")
    line = guide(None, training_lines=lines, max_copied_chars=2)

    assert ruled_out(line, "나") == {YO}  # "나어" alone would be no copy, but no token ends there
    assert ruled_out(line, "가나") == {YO}
    assert ruled_out(line, "나가가") == {COMMA}
    assert ruled_out(line, "가어요") == {MARK}
    assert ruled_out(guide(None, training_lines=lines), "가나") == set()


def test_a_training_line_is_not_recited_with_more_blanks() -> None:
    spaced = guide(None, training_lines=TrainingLines("가 나\n"), max_copied_chars=2)

    assert ruled_out(spaced, "가  ") == {NA}


def test_a_line_ends_where_training_lines_leave_no_choice() -> None:
    everything = "".join(f"가{text}\n" for text in ("가", "나", "어요", ".", ","))
    line = guide("polite", training_lines=TrainingLines(everything), max_copied_chars=1)

    assert ruled_out(line, "가") == {GA, NA, YO, MARK, COMMA}


def test_tokens_are_found_by_what_they_begin_with() -> None:
    assert CHOICES.starting_with("어").tolist() == [YO]
    assert CHOICES.starting_with("어요").tolist() == [YO]
    assert CHOICES.starting_with("어요요").tolist() == []
    assert sorted(CHOICES.starting_with("").tolist()) == list(range(6))
    assert CHOICES.beginnings == [["\n", ",", ".", "가", "나", "어"], ["어요"]]
