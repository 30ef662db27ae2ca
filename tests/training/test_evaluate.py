"""An evaluation from the texts to the report, with invented voices and listeners."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.evaluate import Listeners, Result, run, write
from training.evaluation.config import EvaluateConfig, load_config, read_lines
from training.evaluation.predictors import Panel
from training.evaluation.recording import Recording
from training.evaluation.speakers import SpeakingFailed

RATE = 16_000
PITCH_HZ = {"low": 120.0, "high": 240.0}
TEXTS = ["오늘은 맑아요", "내일은 구름이 껴요", "모레는 비가 와요"]
GATES = {"cer": 0.1, "confusion_rate": 0.0, "success_rate": 1.0, "breakage_rate": 0.0}
CONFIGS = Path(__file__).parents[2] / "training" / "configs"


class ToneVoice:
    """Hums each text at its own pitch; `spoil` changes what comes out."""

    engine = "tones"

    def __init__(
        self,
        voice: str,
        hums_like: str | None = None,
        spoil: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda waveform: waveform,
    ) -> None:
        self.voice = voice
        self._own_pitch_hz = PITCH_HZ[voice.partition("@")[0]]
        self._pitch_hz = PITCH_HZ[hums_like] if hums_like else self._own_pitch_hz
        self._spoil = spoil

    def speak(self, text: str) -> Recording:
        if text == "말할 수 없는 것":
            raise SpeakingFailed("that can't be said")
        return Recording(self._spoil(_hum(self._pitch_hz, len(text))), RATE)

    def clips(self) -> list[Recording]:
        return [Recording(_hum(self._own_pitch_hz, 9), RATE)]


def _hum(pitch_hz: float, num_letters: int) -> NDArray[np.float32]:
    """As long as the text, so that a listener can tell texts apart."""
    time_s = np.arange(int(0.1 * num_letters * RATE)) / RATE
    fade = np.clip(np.minimum(time_s, time_s[::-1]) / 0.2, 0, 1) ** 2
    return (0.3 * fade * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32)


class LengthListener:
    """Knows a text by its length, and hears nonsense in anything that is no hum."""

    def transcribe(
        self, waveform: NDArray[np.float32], sample_rate: int, language: str = "ko"
    ) -> str:
        crossings = np.abs(np.diff(np.sign(waveform))).sum() / 2 / (len(waveform) / sample_rate)
        if crossings > 1000:
            return "시청해 주셔서 감사합니다"
        num_letters = round(len(waveform) / sample_rate / 0.1)
        return next(text for text in TEXTS if len(text) == num_letters)


class PitchEmbedder:
    """Speakers are as far apart as their pitches."""

    def embed(self, waveform: Tensor, sample_rate: int) -> Tensor:
        crossings = waveform.sign().diff().abs().sum() / 2 / (len(waveform) / sample_rate)
        angle = crossings / 2 / 480 * torch.pi / 2
        return torch.stack((angle.cos(), angle.sin()))


@pytest.fixture
def config(tmp_path: Path) -> EvaluateConfig:
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("# a comment\n" + "\n".join(TEXTS) + "\n")
    return EvaluateConfig(
        voice="low", sentences=sentences, rivals=["low", "high"], anchor_texts=["아"], gates=GATES
    )


def _evaluate(config: EvaluateConfig, on_trial: ToneVoice, voices: tuple[str, ...] = ()) -> Result:
    def open_voice(name: str) -> ToneVoice:
        return on_trial if name == on_trial.voice else ToneVoice(name)

    panel = Panel(None, None, {"distillmos": "not fetched"})
    return run(
        config,
        [on_trial.voice, *voices],
        open_voice,
        lambda: Listeners(LengthListener(), PitchEmbedder(), panel),
    )


def _failed(result: Result) -> set[str]:
    return {o.gate.metric.name for o in result.report.outcomes if o.fails_voice}


def test_good_voice_passes(config: EvaluateConfig) -> None:
    result = _evaluate(config, ToneVoice("low"))
    assert result.report.passes
    assert result.report.verdict == "low passes all 4 gates"
    assert result.report.evaluations[0].summary["similarity"] == pytest.approx(1, abs=1e-3)


def test_silence_fails(config: EvaluateConfig) -> None:
    silent = ToneVoice("low", spoil=np.zeros_like)
    assert _failed(_evaluate(config, silent)) == {"cer", "confusion_rate", "breakage_rate"}


def test_noise_fails(config: EvaluateConfig) -> None:
    generator = np.random.default_rng(0)

    def noise(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        return generator.normal(0, 0.2, len(waveform)).astype(np.float32)

    failed = _failed(_evaluate(config, ToneVoice("low", spoil=noise)))
    assert failed == {"cer", "confusion_rate", "breakage_rate"}  # it ends in the middle of a sound


def test_wrong_speaker_fails_and_nothing_else_does(config: EvaluateConfig) -> None:
    assert _failed(_evaluate(config, ToneVoice("low", hums_like="high"))) == {"confusion_rate"}


def test_refused_text_fails_success_and_is_named(config: EvaluateConfig, tmp_path: Path) -> None:
    config.sentences.write_text("\n".join([*TEXTS, "말할 수 없는 것"]))
    result = _evaluate(config, ToneVoice("low"))
    assert _failed(result) == {"success_rate"}
    assert result.report.evaluations[0].summary["success_rate"] == 3 / 4
    write(result, tmp_path / "out", 20_000)
    assert "that can't be said" in (tmp_path / "out" / "report.md").read_text()


def test_missing_predictor_is_reported_and_fails_its_gate(config: EvaluateConfig) -> None:
    gated = config.model_copy(update={"gates": {"distillmos": 4.0}})
    report = _evaluate(gated, ToneVoice("low")).report
    assert not report.passes
    assert report.outcomes[0].verdict == "not measured"
    assert report.evaluations[0].missing["distillmos"] == "not fetched"


def test_without_another_voice_confusion_is_not_measured(config: EvaluateConfig) -> None:
    alone = config.model_copy(update={"rivals": []})
    assert _failed(_evaluate(alone, ToneVoice("low"))) == {"confusion_rate"}


def test_voice_is_not_mistaken_for_another_version_of_itself(config: EvaluateConfig) -> None:
    versions = config.model_copy(update={"rivals": ["low@1", "high"]})
    assert _evaluate(versions, ToneVoice("low")).report.passes


def test_no_more_sentences_than_asked_for(config: EvaluateConfig) -> None:
    short = config.model_copy(update={"max_sentences": 1, "skip_sentences": 1})
    sentences = _evaluate(short, ToneVoice("low")).report.evaluations[0].sentences
    assert [sentence.text for sentence in sentences] == TEXTS[1:2]


def test_two_voices_stand_side_by_side_and_the_first_is_judged(
    config: EvaluateConfig, tmp_path: Path
) -> None:
    result = _evaluate(config, ToneVoice("low", hums_like="high"), ("high",))
    write(result, tmp_path, 20_000)
    text = (tmp_path / "report.md").read_text()
    assert "|  | low | high | gate |  | target | predecessor |" in text
    row = next(line for line in text.splitlines() if line.startswith("| multi-speaker"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:] == ["100.0%", "0.0%", "≤ 0.0%", "failed", "≤ 3.0%", "1.7%"]


def test_json_has_every_figure_of_every_sentence(config: EvaluateConfig, tmp_path: Path) -> None:
    result = _evaluate(config, ToneVoice("low"))
    write(result, tmp_path, 20_000)
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["passes"] is True
    assert {gate["metric"]: gate["verdict"] for gate in document["gates"]} == dict.fromkeys(
        GATES, "passed"
    )
    (voice,) = document["voices"]
    assert voice["summary"] == dict(result.report.evaluations[0].summary)
    assert [sentence["text"] for sentence in voice["sentences"]] == TEXTS
    assert voice["sentences"][0]["errors"]["num_letters"] == len(TEXTS[0].replace(" ", ""))


class _Addresses(HTMLParser):
    """Addresses and scripts of a page, and how many players it has."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.num_players = 0
        self.num_scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.num_players += tag == "audio"
        self.num_scripts += tag in ("script", "link")


def test_page_needs_nothing_from_elsewhere(config: EvaluateConfig, tmp_path: Path) -> None:
    write(_evaluate(config, ToneVoice("low"), ("high",)), tmp_path, 20_000)
    page = (tmp_path / "report.html").read_text()
    parser = _Addresses()
    parser.feed(page)
    assert parser.num_players == 2 * len(TEXTS)
    assert all(address.startswith("data:audio/ogg;base64,") for address in parser.addresses)
    assert parser.num_scripts == 0
    assert re.findall(r"https?://[^\"'<\s]+", page) == ["http://www.w3.org/2000/svg"]  # a name
    assert "url(" not in page and "@import" not in page


def test_page_shows_text_as_text(config: EvaluateConfig, tmp_path: Path) -> None:
    TEXTS.append("<b>굵게</b> & 가늘게 말해요")
    try:
        config.sentences.write_text(TEXTS[-1])
        write(_evaluate(config, ToneVoice("low")), tmp_path, 20_000)
    finally:
        TEXTS.pop()
    page = (tmp_path / "report.html").read_text()
    assert "&lt;b&gt;굵게&lt;/b&gt; &amp; 가늘게" in page
    assert "<b>" not in page


def test_plots_have_a_dot_for_each_sentence_and_say_what_is_missing(
    config: EvaluateConfig, tmp_path: Path
) -> None:
    write(_evaluate(config, ToneVoice("low")), tmp_path, 20_000)
    picture = (tmp_path / "report.svg").read_text()
    root = ElementTree.fromstring(picture)
    assert len(root.findall(".//{*}circle")) == 2 * len(TEXTS)  # CER and similarity
    assert picture.count("not available") == 2  # both predictors


@pytest.mark.parametrize("name", ["evaluate.yaml", "evaluate_embedded.yaml", "evaluate_small.yaml"])
def test_shipped_configuration_speaks_forty_sentences_that_are_in_no_corpus(name: str) -> None:
    config = load_config(CONFIGS / name)
    assert config.long_texts is not None
    sentences = read_lines(config.sentences, config.skip_sentences)
    corpus = (CONFIGS.parent / "corpus" / "data" / "sentences.txt").read_text().splitlines()
    assert len(set(sentences)) == 40
    assert not {*sentences, *config.anchor_texts, *read_lines(config.long_texts)} & set(corpus)
    assert not set(config.anchor_texts) & set(sentences)
    assert config.make_gates()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sentences": "nowhere.txt"}, "no such file"),
        ({"gates": {"sre": 1}}, "no metric is called 'sre'"),
        ({"sentense": "x"}, "Extra inputs"),
    ],
)
def test_wrong_configuration_is_refused(
    config: EvaluateConfig, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    document = {"voice": "low", "sentences": str(config.sentences), "anchor_texts": ["아"]}
    path = tmp_path / "wrong.yaml"
    path.write_text(json.dumps(document | change))
    with pytest.raises(ValueError, match=message):
        load_config(path)
