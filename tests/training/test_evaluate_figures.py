"""The arithmetic of an evaluation, figure by figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from training.evaluation.error_rates import ErrorCounts, count_errors, is_runaway, reading
from training.evaluation.faults import find_faults
from training.evaluation.gates import Verdict, judge, make_gates, target_gates
from training.evaluation.measurements import Likeness, Sentence
from training.evaluation.metrics import METRIC_OF, similarity_mos, summarise, written
from training.evaluation.predictors import Prediction

RATE = 16_000


def test_numbers_compare_as_they_are_read() -> None:
    assert reading("7시에 만나요") == reading("일곱 시에 만나요")
    assert reading("at 7", "en") == "at 7"


def test_spaces_and_marks_are_no_errors() -> None:
    counts = count_errors("다시 한번, 말씀해!", "다시 한 번 말씀해")
    assert counts == ErrorCounts(0, 7, wrong_words=0, word_edits=2, num_words=3)


@pytest.mark.parametrize(
    ("heard", "letter_edits", "wrong_words"),
    [
        ("가나 다라", 0, 0),
        ("가너 다라", 1, 1),
        ("나 다라", 1, 1),
        ("가나 다라마", 1, 1),
        ("가나 다마라", 1, 1),
        ("", 4, 2),
    ],
)
def test_a_word_is_wrong_if_an_edit_is_in_it(
    heard: str, letter_edits: int, wrong_words: int
) -> None:
    counts = count_errors("가나 다라", heard)
    assert (counts.letter_edits, counts.wrong_words) == (letter_edits, wrong_words)


def test_a_text_without_letters_has_nothing_to_count() -> None:
    assert count_errors("…", "가") == ErrorCounts(1, 0, 0, 1, 0)


@pytest.mark.parametrize(
    ("heard", "duration_s", "expected"),
    [("가" * 20, 7.0, False), ("가" * 36, 7.0, True), ("가" * 20, 12.1, True), ("", 7.0, False)],
)
def test_far_too_much_or_far_too_long_is_a_runaway(
    heard: str, duration_s: float, expected: bool
) -> None:
    assert is_runaway("나" * 20, heard, duration_s) is expected


def _sound(seconds: float = 2.0, level: float = 0.3) -> NDArray[np.float32]:
    """A tone that fades in and out within 0.2 s."""
    time_s = np.arange(int(seconds * RATE)) / RATE
    fade = np.clip(np.minimum(time_s, seconds - time_s) / 0.2, 0, 1) ** 2
    return (level * fade * np.sin(2 * np.pi * 200 * time_s)).astype(np.float32)


def _silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(int(seconds * RATE), np.float32)


@pytest.mark.parametrize(
    ("waveform", "faults"),
    [
        (_sound(), ()),
        (_silence(2), ("silence",)),
        (_silence(0.001), ("silence",)),
        (_sound(level=1e-4), ("silence",)),
        (np.append(_sound(), np.float32("nan")), ("not finite",)),
        (np.clip(5 * _sound(), -1, 1), ("clipping",)),
        (_sound()[:RATE], ("cut off",)),
        (np.concatenate((_sound()[:RATE], _silence(0.5))), ("cut off",)),
        (np.concatenate((_sound(), _silence(1.9), _sound())), ()),
        (np.concatenate((_sound(), _silence(2.2), _sound())), ("gap",)),
    ],
)
def test_each_fault_is_found_and_no_other(
    waveform: NDArray[np.float32], faults: tuple[str, ...]
) -> None:
    assert find_faults(waveform, RATE) == faults


GOOD = Sentence(
    text="가나 다라",
    duration_s=2.0,
    synthesis_s=1.0,
    synthesis_cpu_s=0.5,
    expected="가나 다라",
    heard="가나 다라",
    errors=ErrorCounts(0, 4, 0, 0, 2),
    likeness=Likeness(0.9, "me", is_confused=False),
    prediction=Prediction(4.0, 3.0, 3.5, 3.8),
)
LOOP = replace(GOOD, errors=ErrorCounts(40, 4, 2, 20, 2), is_runaway=True)
WRONG = replace(GOOD, errors=ErrorCounts(1, 4, 1, 2, 2))
SILENT = replace(WRONG, faults=("silence",), likeness=None)
REFUSED = Sentence("가나", error="no")
LONG = replace(GOOD, duration_s=31.0)


def test_error_rates_leave_runaways_out_and_say_how_many() -> None:
    summary = summarise([GOOD, LOOP, WRONG, WRONG])
    assert summary["cer"] == 2 / 12
    assert summary["wer"] == 2 / 6
    assert summary["wer_as_spaced"] == 4 / 6
    assert summary["runaway_rate"] == 1 / 4


def test_success_counts_what_was_asked_for_and_breakage_what_came() -> None:
    summary = summarise([GOOD, SILENT, REFUSED, REFUSED])
    assert summary["success_rate"] == 1 / 2
    assert summary["breakage_rate"] == summary["silence_rate"] == 1 / 2
    assert summary["clipping_rate"] == 0


def test_in_silence_nobody_is_heard() -> None:
    summary = summarise([GOOD, SILENT])
    assert summary["similarity"] == pytest.approx(0.45)
    assert summary["confusion_rate"] == 1 / 2
    assert summary["similarity_mos"] == pytest.approx((4.6 + 1) / 2)


def test_speed_is_of_all_that_was_spoken() -> None:
    summary = summarise([GOOD, REFUSED], [LONG])
    assert summary["real_time_factor"] == 2 / 33
    assert summary["cpu_real_time_factor"] == 1 / 33


@pytest.mark.parametrize(
    ("text", "is_success"),
    [
        (LONG, True),
        (replace(LONG, duration_s=29.9), False),
        (replace(LONG, faults=("cut off",)), False),
        (replace(LONG, is_runaway=True), False),
        (replace(LONG, errors=ErrorCounts(2, 4, 1, 1, 2)), False),
        (REFUSED, False),
    ],
)
def test_long_form_succeeds_whole_or_not_at_all(text: Sentence, is_success: bool) -> None:
    assert summarise([GOOD], [text])["long_form_rate"] == float(is_success)


def test_what_was_not_measured_has_no_value() -> None:
    summary = summarise([replace(GOOD, prediction=Prediction(), synthesis_cpu_s=None)])
    unmeasured = {name for name, value in summary.items() if value is None}
    assert unmeasured == {
        *("distillmos", "dnsmos_overall", "dnsmos_signal", "dnsmos_background"),
        *("long_form_rate", "cpu_real_time_factor", "peak_memory_gb", "peak_vram_gb"),
    }
    assert set(summary) == set(METRIC_OF)


def test_similarity_on_the_scale_of_opinions() -> None:
    assert [similarity_mos(cosine) for cosine in (-0.5, 0.0, 0.8, 1.0)] == [1, 1, 4.2, 5]


@pytest.mark.parametrize(
    ("metric", "limit", "value", "verdict"),
    [
        ("cer", 0.05, 0.05, Verdict.PASSED),
        ("cer", 0.05, 0.0501, Verdict.FAILED),
        ("distillmos", 4.0, 4.0, Verdict.PASSED),
        ("distillmos", 4.0, 3.99, Verdict.FAILED),
        ("distillmos", 4.0, None, Verdict.NOT_MEASURED),
    ],
)
def test_gate_is_passed_at_its_limit(
    metric: str, limit: float, value: float | None, verdict: Verdict
) -> None:
    (outcome,) = judge(make_gates({metric: limit}), {metric: value})
    assert outcome.verdict is verdict
    assert outcome.fails_voice is (verdict is not Verdict.PASSED)


def test_only_a_gate_that_is_not_needed_may_stay_unmeasured() -> None:
    unneeded, failed = (
        judge(make_gates({"cer": 0.05}, ["cer"]), {"cer": value})[0] for value in (None, 0.5)
    )
    assert not unneeded.fails_voice
    assert failed.fails_voice


def test_gate_of_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="no metric is called 'sre'"):
        make_gates({"sre": 1.0})


def test_targets_are_those_of_the_quality_table() -> None:
    assert {gate.metric.name: gate.limit for gate in target_gates()} == {
        "cer": 0.05,
        "wer": 0.10,
        "distillmos": 4.0,
        "similarity_mos": 4.2,
        "confusion_rate": 0.03,
        "success_rate": 0.99,
        "breakage_rate": 0.005,
        "long_form_rate": 0.95,
        "peak_vram_gb": 8.0,
    }


def test_values_are_written_in_their_unit() -> None:
    assert written(METRIC_OF["cer"], 0.1234) == "12.3%"
    assert written(METRIC_OF["peak_vram_gb"], 6.3) == "6.30 GB"
    assert written(METRIC_OF["distillmos"], None) == "–"
