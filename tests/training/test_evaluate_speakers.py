"""Where the speech comes from that is evaluated, and what the real listeners say to it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
import torch

from models import assets
from models.recognition import Recognizer
from models.speaker import SpeakerEncoder, ensure_speaker_encoder
from models.storage import FolderStore, UnknownRecord, embedded_store
from tests.training.published_runs import open_encoder, publish_args, write_runs
from training.evaluate import EXIT_NOTHING_MEASURED, main
from training.evaluation.judge import Judge, Spoken, reference_embedding
from training.evaluation.measurements import Sentence
from training.evaluation.memory import PeakMemory, peak_vram_gb
from training.evaluation.predictors import Panel, open_panel
from training.evaluation.predictors.distillmos import WINDOW_SAMPLES, overlapping_windows
from training.evaluation.predictors.dnsmos import repeated_windows
from training.evaluation.recording import Recording
from training.evaluation.resynthesis import Resynthesizer
from training.evaluation.speakers import (
    GptSovitsSpeaker,
    LocalVoices,
    ServiceSpeaker,
    SpeakingFailed,
    service_client,
)
from training.publish import publish

TEXT = "선생님께서 칭찬해 주셔서 기분이 좋았어요."
OTHER_TEXT = "어제 저녁에는 친구와 함께 강가를 걸었어요."


def _service(reply: httpx.Response, asked: list[dict[str, str]]) -> ServiceSpeaker:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/audio/speech"
        asked.append(json.loads(request.content))
        return reply

    client = httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer))
    return ServiceSpeaker(client, "sinip")


def test_service_is_asked_for_wav_of_the_voice() -> None:
    samples = np.array([0.0, 0.5, -0.5], np.float32)
    wav = io.BytesIO()
    soundfile.write(wav, samples, 24_000, "FLOAT", format="WAV")
    asked: list[dict[str, str]] = []
    recording = _service(httpx.Response(200, content=wav.getvalue()), asked).speak(TEXT)
    assert np.array_equal(recording.waveform, samples)
    assert recording.sample_rate == 24_000
    assert (asked[0]["input"], asked[0]["voice"]) == (TEXT, "sinip")
    assert asked[0]["response_format"] == "wav"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (httpx.Response(429, text="too many"), "429: too many"),
        (httpx.Response(200, content=b"no audio"), "not a readable audio file"),
    ],
)
def test_what_a_service_refuses_is_an_error(reply: httpx.Response, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _service(reply, []).speak(TEXT)


def test_service_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SpeakingFailed, match="ConnectError"):
        ServiceSpeaker(httpx.Client(base_url="http://127.0.0.1:1"), "sinip").speak(TEXT)


def test_key_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAEWOO_API_KEY", "secret")
    assert service_client("http://service").headers["Authorization"] == "Bearer secret"
    monkeypatch.delenv("BAEWOO_API_KEY")
    assert "Authorization" not in service_client("http://service").headers


def test_published_voice_speaks_the_same_each_time_and_brings_its_clip(tmp_path: Path) -> None:
    write_runs(tmp_path)
    store = FolderStore(tmp_path / "root")
    publish(publish_args(tmp_path), store, open_encoder)
    speaker = LocalVoices([store, embedded_store()]).open("noise")
    first, again = speaker.speak("네."), speaker.speak("네.")
    assert speaker.voice == "noise@1"
    assert np.array_equal(first.waveform, again.waveform)
    assert np.any(first.waveform)
    assert [clip.duration_s for clip in speaker.clips()] == [3.5]


def test_second_stage_speaks_a_teachers_tokens(tmp_path: Path) -> None:
    write_runs(tmp_path)
    store = FolderStore(tmp_path / "root")
    publish(publish_args(tmp_path), store, open_encoder)
    voices = LocalVoices([store, embedded_store()])
    voice, teacher = voices.open("noise"), voices.open("sinip")
    assert isinstance(voice, GptSovitsSpeaker)
    spoken = Resynthesizer(voice, teacher, open_encoder(voice.ssl)).speak(TEXT)
    taught = teacher.speak(TEXT)
    assert spoken.sample_rate == voice.synthesizer.config.sample_rate
    assert 0 <= taught.duration_s - spoken.duration_s < 0.08  # whole tokens, of 40 ms
    assert not np.array_equal(spoken.waveform, voice.speak(TEXT).waveform)


def test_a_voice_without_second_stage_has_no_tokens_to_speak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(__file__).parents[2] / "training" / "configs" / "evaluate.yaml"
    arguments = ["--config", str(config), "--voice", "bujang", "--tokens-of", "sinip"]
    assert main([*arguments, "--out", str(tmp_path)]) == EXIT_NOTHING_MEASURED
    assert "no S2" in capsys.readouterr().err


def test_unknown_voice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownRecord, match="nobody"):
        LocalVoices([embedded_store()]).open("nobody")


def test_command_line_says_when_nothing_can_be_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(__file__).parents[2] / "training" / "configs" / "evaluate.yaml"
    arguments = ["--config", str(config), "--voice", "nobody", "--out", str(tmp_path / "out")]
    assert main(arguments) == EXIT_NOTHING_MEASURED
    assert "nobody" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_memory_of_this_process_is_seen() -> None:
    memory = PeakMemory()
    assert memory.peak_gb is None
    memory.look()
    assert memory.peak_gb is not None
    assert 0.01 < memory.peak_gb < 50
    assert peak_vram_gb() == 0 or torch.cuda.is_available()


@pytest.mark.parametrize(("num_samples", "num_windows"), [(1, 1), (122_880, 1), (122_881, 2)])
def test_windows_cover_a_recording_from_end_to_end(num_samples: int, num_windows: int) -> None:
    waveform = torch.arange(1.0, num_samples + 1)
    windows = overlapping_windows(waveform)
    assert windows.shape == (num_windows, WINDOW_SAMPLES)
    assert windows[0, 0] == 1
    assert windows.max() == num_samples


def test_short_recording_is_repeated() -> None:
    windows = repeated_windows(np.arange(100_000, dtype=np.float32))
    assert windows.shape == (4, 144_160)  # of 200,000 samples, one a second
    assert windows[0, 100_000] == 0


def test_predictor_that_cannot_be_fetched_says_why() -> None:
    def refuse(asset: assets.Asset) -> Path:
        raise assets.AssetError(f"{asset.name}: no network")

    panel = open_panel(fetch=refuse)
    assert panel.missing == {"distillmos": "distillmos: no network", "dnsmos": "dnsmos: no network"}
    assert panel.predict(np.zeros(10, np.float32), 16_000).distillmos is None


@pytest.fixture(scope="module")
def panel() -> Panel:
    return open_panel()


def test_predictors_agree_with_the_packages_that_publish_them(panel: Panel) -> None:
    """The values are those of distillmos 0.9.1 (beside a stub of torchaudio)."""
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * 16_000).astype(np.float32)
    prediction = panel.predict(noise, 16_000)
    assert panel.missing == {}
    assert prediction.distillmos == pytest.approx(1.94766, abs=1e-4)
    assert prediction.dnsmos_overall is not None
    assert prediction.dnsmos_overall < 1.5


@pytest.fixture(scope="module")
def judged(panel: Panel) -> dict[str, Sentence]:
    """One sentence of bujang; then silence, noise and sinip in its place."""
    voices = LocalVoices([embedded_store()])
    bujang, sinip = voices.open("bujang"), voices.open("sinip")
    spoken = bujang.speak(TEXT)
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.1, len(spoken.waveform)).astype(np.float32)
    recordings = {
        "whole": spoken,
        "silence": Recording(np.zeros_like(spoken.waveform), spoken.sample_rate),
        "noise": Recording(noise, spoken.sample_rate),
        "sinip": sinip.speak(TEXT),
    }
    assets.ensure(assets.WHISPER)
    embedder = SpeakerEncoder(ensure_speaker_encoder())
    references = {
        "bujang": reference_embedding(embedder, [bujang.speak(OTHER_TEXT)]),
        "sinip": reference_embedding(embedder, [sinip.speak(OTHER_TEXT)]),
    }
    judge = Judge(Recognizer(), embedder, panel, references)
    return {
        name: judge.listen(Spoken(TEXT, recording, 1.0, 1.0), "bujang", has_cpu_time=True)
        for name, recording in recordings.items()
    }


def test_real_listeners_understand_a_voice_and_know_it(judged: dict[str, Sentence]) -> None:
    whole = judged["whole"]
    assert whole.faults == ()
    assert whole.errors is not None
    assert whole.errors.letter_edits <= 3
    assert whole.likeness is not None
    assert not whole.likeness.is_confused
    assert whole.prediction.distillmos is not None
    assert whole.prediction.distillmos > 3.5


def test_real_listeners_hear_nothing_in_silence(judged: dict[str, Sentence]) -> None:
    silence = judged["silence"]
    assert silence.faults == ("silence",)
    assert silence.errors is not None
    assert silence.errors.letter_edits == silence.errors.num_letters
    assert silence.likeness is None


def test_real_listeners_hear_no_words_in_noise(judged: dict[str, Sentence]) -> None:
    noise = judged["noise"]
    assert noise.errors is not None
    assert noise.errors.letter_edits >= 0.8 * noise.errors.num_letters
    assert noise.prediction.distillmos is not None
    assert noise.prediction.distillmos < 2.5


def test_real_listeners_know_the_wrong_speaker(judged: dict[str, Sentence]) -> None:
    likeness = judged["sinip"].likeness
    assert likeness is not None
    assert likeness.is_confused
    assert likeness.nearest == "sinip"
