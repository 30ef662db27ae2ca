"""Whole runs of `training.prepare` on small corpora of real (synthetic) speech."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from transformers import HubertConfig, HubertModel

from models import assets
from models.audio.load import load_audio
from models.audio.resample import resample
from models.checkpoints.checkpoint import Checkpoint, Kind
from models.checkpoints.native import write_native
from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.kokoro.model import SAMPLE_RATE
from models.kokoro.pipeline import KokoroEngine, speak
from models.ssl.hubert import HubertEncoder
from models.text.frontend import analyze
from training.corpus.plan import Speaker
from training.data.clip import Clip, load_tools, mix_level, prepare_source
from training.data.config import PrepareConfig
from training.data.mapping import Mapper, Row, Worker, map_here, map_with_ray
from training.data.prepared import PreparedClip, PreparedError, read_prepared
from training.data.sources import find_sources
from training.prepare import prepare

TEXTS = [
    "오늘은 날씨가 참 좋네요.",
    "우리 집 고양이는 잠이 많아요.",
    "내일 아침에 다시 전화할게요.",
]
SMALL_VOICE = S2Config(ssl_dim=512, codebook_size=8, upsample_channels=32)

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    """The three texts, each of two to four seconds at 24 kHz."""
    engine = KokoroEngine(assets.ensure(assets.KOKORO))
    voice = Speaker(name="kumo", share=1, timbre={"jm_kumo": 1.0}).voice()
    return [speak(text, voice, engine) for text in TEXTS]


def config(path: Path, **changes: Any) -> PrepareConfig:
    return PrepareConfig.model_validate(
        {
            "input": {"kind": "list", "path": path},
            "ssl": {"encoder": "whisper-base"},
            "fit_tokens": {"num_centres": 8, "seed": 1},
            "augmentation": {"share": 0.5, "seed": 1},
            "sources_per_shard": 1,
        }
        | changes
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, spoken: list[Samples]) -> Path:
    """A list of three clips, and of one that cannot be read."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = [f"{i}.flac|kumo|ko|{text}" for i, text in enumerate(TEXTS)]
    for i, samples in enumerate(spoken):
        soundfile.write(folder / f"{i}.flac", samples, SAMPLE_RATE)
    (folder / "broken.wav").write_bytes(b"RIFF")
    rows.insert(1, "broken.wav|kumo|ko|안녕하세요.")
    (folder / "list.txt").write_text("\n".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    out = tmp_path_factory.mktemp("layout")
    prepare(config(corpus), out)
    return out


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def described(clip: PreparedClip) -> tuple[Any, ...]:
    return (
        clip.name,
        clip.speaker,
        clip.language,
        clip.text,
        clip.phoneme_ids,
        clip.semantic_tokens,
        clip.duration_s,
        clip.labels,
        clip.is_augmented,
        clip.waveform().tolist(),
        clip.ssl_features().tolist(),
    )


def test_the_layout_is_the_reference_s(layout: Path) -> None:
    lines = (layout / "2-name2text.txt").read_text(encoding="utf-8").splitlines()
    semantic = (layout / "6-name2semantic.tsv").read_text(encoding="utf-8").splitlines()
    assert semantic[0] == "item_name\tsemantic_audio"
    names = [line.split("\t")[0] for line in lines]
    assert [line.split("\t")[0] for line in semantic[1:]] == names
    assert names[0] == "0.flac" and {"1.flac", "2.flac"} < set(names)
    for name, line, row in zip(names, lines, semantic[1:], strict=True):
        assert line.split("\t")[2] == "None"
        audio = soundfile.info(layout / "5-wav32k" / name)
        assert (audio.samplerate, audio.subtype, audio.format) == (32_000, "PCM_16", "WAV")
        features = torch.load(layout / "4-cnhubert" / f"{name}.pt", weights_only=True)
        assert features.shape == (1, 512, audio.frames // 640)
        assert len(row.split("\t")[1].split(" ")) == audio.frames // 1_280
    assert not any((layout / "3-bert").iterdir())


def test_a_clip_is_read_back_with_all_that_training_needs(
    layout: Path, spoken: list[Samples]
) -> None:
    clip = read_prepared(layout)[0]
    assert (clip.speaker, clip.language, clip.text) == ("kumo", "ko", TEXTS[0])
    assert clip.phoneme_ids == [i for s in analyze(TEXTS[0]) for i in s.phoneme_ids]
    assert clip.duration_s == pytest.approx(len(spoken[0]) / SAMPLE_RATE, abs=0.04)
    assert len(clip.waveform()) == round(clip.duration_s * 32_000)
    assert len(clip.ssl_features()) == round(clip.duration_s * 50)
    assert len(clip.semantic_tokens) == round(clip.duration_s * 25)


def test_a_voice_that_starts_from_the_fitted_tokenizer_gives_these_tokens(layout: Path) -> None:
    voice = Synthesizer(SMALL_VOICE)
    voice.load_state_dict(voice.state_dict() | load_file(layout / "tokenizer.safetensors"))
    for clip in read_prepared(layout):
        tokens = voice.extract_latent(clip.ssl_features()[None])[0]
        assert tokens.tolist() == clip.semantic_tokens


def test_tokens_of_a_checkpoint_are_those_of_its_voice(corpus: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    voice = Synthesizer(SMALL_VOICE).eval()
    write_native(tmp_path / "s2.json", Checkpoint(Kind.S2, SMALL_VOICE, voice.state_dict()))
    settings = config(corpus, fit_tokens=None, tokens_of=tmp_path / "s2.json")
    prepare(settings, tmp_path / "out")
    for clip in read_prepared(tmp_path / "out"):
        tokens = voice.extract_latent(clip.ssl_features()[None])[0]
        assert tokens.tolist() == clip.semantic_tokens


def test_a_codebook_of_another_encoder_is_refused_before_any_work(
    corpus: Path, tmp_path: Path
) -> None:
    sizes = S2Config(ssl_dim=16, codebook_size=8, upsample_channels=32)
    checkpoint = Checkpoint(Kind.S2, sizes, Synthesizer(sizes).state_dict())
    write_native(tmp_path / "s2.json", checkpoint)
    settings = config(corpus, fit_tokens=None, tokens_of=tmp_path / "s2.json")
    with pytest.raises(ValueError, match="16 channels; whisper-base has 512"):
        prepare(settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_hubert_hears_samples_as_large_as_the_reference_feeds_it(
    corpus: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    hubert = HubertModel(HubertConfig(**sizes, intermediate_size=32, conv_dim=(16,) * 7))
    hubert.save_pretrained(tmp_path)
    settings = config(corpus, ssl={"encoder": "hubert-base", "folder": tmp_path})
    source = find_sources(settings.input)[0][0]
    clip = next(iter(prepare_source(source, settings, load_tools(settings))))
    assert isinstance(clip, Clip)

    audio = load_audio(Path(source.audio))
    at_32k = resample(audio.waveform, audio.sample_rate, 32_000)[: len(clip.samples)]
    fed = resample(mix_level(at_32k), 32_000, 16_000) * 1145.14
    expected = HubertEncoder(hubert).encode(fed[None])[0]
    assert torch.equal(clip.ssl_features, expected.half())


def test_parquet_holds_the_same_clips_as_the_layout(
    layout: Path, corpus: Path, tmp_path: Path
) -> None:
    prepare(config(corpus, output="parquet", sources_per_shard=2), tmp_path)
    assert not (tmp_path / "5-wav32k").exists()
    in_parquet = [described(clip) for clip in read_prepared(tmp_path)]
    assert in_parquet == [described(clip) for clip in read_prepared(layout)]


def test_copies_are_noisy_and_begin_with_silence(layout: Path) -> None:
    clips = {clip.name: clip for clip in read_prepared(layout)}
    copies = [clip for clip in clips.values() if clip.is_augmented]
    assert copies
    for copy in copies:
        original = clips[copy.name.removeprefix("noisy-")]
        assert copy.phoneme_ids == original.phoneme_ids
        assert copy.duration_s >= original.duration_s + 0.06
        assert 0 < float(copy.waveform()[:3_200].abs().max()) < 0.05


def interrupted(after: int) -> Mapper:
    """Runs some rows, then dies."""

    def run(worker: Callable[..., Worker], arguments: Row, rows: list[Row]) -> Iterator[Row]:
        yield from map_here(worker, arguments, rows[:after])
        raise KeyboardInterrupt

    return run


def test_a_killed_run_goes_on_to_the_same_bytes(layout: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(config(corpus), tmp_path, interrupted(after=3))
    (tmp_path / "5-wav32k" / "2.flac").write_bytes(b"half of a")  # what the next clip left
    with pytest.raises(PreparedError, match="did not finish"):
        read_prepared(tmp_path)
    done = {p: p.stat().st_mtime_ns for p in (tmp_path / "5-wav32k").glob("[01].flac")}
    prepare(config(corpus), tmp_path)
    assert content(tmp_path) == content(layout)
    assert done == {path: path.stat().st_mtime_ns for path in done}


def test_a_grown_list_prepares_what_is_new_alone(corpus: Path, tmp_path: Path) -> None:
    rows = (corpus / "list.txt").read_text(encoding="utf-8").splitlines()
    part = corpus / "part.txt"
    worked_on: list[int] = []

    def counting(worker: Callable[..., Worker], arguments: Row, todo: list[Row]) -> Iterator[Row]:
        worked_on.append(len(todo))
        return map_here(worker, arguments, todo)

    for num_rows in (3, 4, 4):
        part.write_text("\n".join(rows[:num_rows]), encoding="utf-8")
        prepare(config(part), tmp_path, counting)
    # Recordings, then tokens, which are fitted to all of them again; the last run had no new ones.
    assert worked_on == [3, 3, 1, 4, 4]


def test_other_settings_do_not_mix_with_what_is_there(corpus: Path, tmp_path: Path) -> None:
    prepare(config(corpus), tmp_path)
    with pytest.raises(ValueError, match="other settings"):
        prepare(config(corpus, augmentation=None), tmp_path)


def test_a_corpus_without_one_usable_clip_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no audio")
    (tmp_path / "list.txt").write_text("a.wav|b|ko|안녕하세요.\n", encoding="utf-8")
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="report.md"):
        prepare(config(tmp_path), out)
    assert "| list.txt:1 | unreadable audio |" in (out / "report.md").read_text(encoding="utf-8")


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data")  # raised by Ray's own defaults
def test_ray_prepares_the_same_bytes(layout: Path, corpus: Path, tmp_path: Path) -> None:
    import ray

    try:
        prepare(config(corpus), tmp_path, map_with_ray(num_workers=1, cpus_per_worker=1))
    finally:
        ray.shutdown()
    assert content(tmp_path) == content(layout)


class Tree:
    """A data set in AI Hub's folders, clip by clip."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(
        self,
        name: str,
        samples: Samples | bytes | None,
        text: str | bytes | None = TEXTS[0],
        speaker: str = "KJW",
    ) -> None:
        audio = self.root / "원천데이터" / "TS_여성" / f"{name}.wav"
        label = self.root / "라벨링데이터" / "TL_여성" / f"{name}.json"
        for path in (audio, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(samples, bytes):
            audio.write_bytes(samples)
        elif samples is not None:
            soundfile.write(audio, samples, SAMPLE_RATE)
        if isinstance(text, bytes):
            label.write_bytes(text)
        elif text is not None:
            fields = {
                "전사정보": {"TransLabelText": text},
                "화자정보": {"SpeakerName": speaker, "Emotion": "Happy", "Gender": "Female"},
            }
            label.write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")


@pytest.fixture(scope="module")
def faulty(
    tmp_path_factory: pytest.TempPathFactory, spoken: list[Samples]
) -> tuple[Path, dict[str, str]]:
    """A data set with every kind of fault, and the reason each should be dropped for."""
    tree = Tree(tmp_path_factory.mktemp("aihub"))
    speech, other = spoken[0], spoken[1]
    pause = np.zeros(SAMPLE_RATE, np.float32)
    tree.add("good", speech)
    tree.add("long", np.concatenate([speech, pause, other, pause, spoken[2]]), " ".join(TEXTS))

    whole = tree.root / "원천데이터" / "TS_여성" / "good.wav"
    hiss = np.random.default_rng(0).normal(0, 0.05, len(speech)).astype(np.float32)
    gap = np.sin(np.arange(len(speech)) / 4_000) > 0
    hum = (0.5 * np.sin(np.arange(len(speech)) / 25) * gap).astype(np.float32)
    faults: dict[str, tuple[str, Samples | bytes | None, Any, str]] = {
        "no-label": ("missing label", speech, None, "KJW"),
        "no-audio": ("missing audio", None, TEXTS[0], "KJW"),
        "broken-json": ("malformed label", speech, b'{"a": ', "KJW"),
        "no-text": ("unusable text", speech, "?!", "KJW"),
        "encoding": ("wrong encoding", speech, b"\xff\xfe\x00\x01", "KJW"),
        "speaker": ("bad speaker name", speech, TEXTS[0], "../../root"),
        "no-audio-inside": ("unreadable audio", b"not audio at all", TEXTS[0], "KJW"),
        "empty": ("unreadable audio", b"", TEXTS[0], "KJW"),
        "truncated": ("truncated audio", whole.read_bytes()[:-20_000], TEXTS[0], "KJW"),
        "clipped": ("clipped", np.clip(speech * 20, -1, 1), TEXTS[0], "KJW"),
        "noisy": ("noisy", speech + hiss, TEXTS[0], "KJW"),
        "quiet": ("too quiet", speech * 1e-3, TEXTS[0], "KJW"),
        "hum": ("no speech", hum, TEXTS[0], "KJW"),
        "short": ("too short", speech[: SAMPLE_RATE // 2], TEXTS[0], "KJW"),
        "endless": ("unreadable audio", np.tile(pause, 31), TEXTS[0], "KJW"),
        "rushed": ("speaking rate", speech, TEXTS[0] * 6, "KJW"),
        "wrong": ("transcript contradicted", speech, "버스가 방금 떠나 버렸지.", "KJW"),
    }
    for name, (_, samples, text, speaker) in faults.items():
        tree.add(name, samples, text, speaker)
    outside = tree.root.parent / "outside.wav"
    soundfile.write(outside, speech, SAMPLE_RATE)
    tree.add("link", None)
    (tree.root / "원천데이터" / "TS_여성" / "link.wav").symlink_to(outside)
    reasons = {name: reason for name, (reason, *_) in faults.items()}
    return tree.root, reasons | {"link": "outside the data folder"}


def test_every_fault_of_a_data_set_is_listed_and_the_rest_is_prepared(
    faulty: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    root, expected = faulty
    fields = {
        "text": ["전사정보.TransLabelText"],
        "speaker": ["화자정보.SpeakerName"],
        "labels": {"emotion": ["화자정보.Emotion"], "gender": ["화자정보.Gender"]},
    }
    settings = config(
        root,
        input={"kind": "aihub", "path": root, "fields": fields},
        checks={"max_s": 6.0, "max_source_s": 30.0},
        recognition={},
        augmentation=None,
        sources_per_shard=8,
    )
    prepare(settings, tmp_path)

    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    found = {Path(entry["origin"]).stem: entry["reason"] for entry in report["rejections"]}
    assert found == expected
    assert report["dropped"]["unreadable audio"] == 3

    good, *pieces = read_prepared(tmp_path)
    num_clips = 1 + len(pieces)
    assert report["labels"] == {"emotion": {"Happy": num_clips}, "gender": {"Female": num_clips}}
    assert (good.name, good.text) == ("여성-good.wav", TEXTS[0])
    assert good.labels == {"emotion": "Happy", "gender": "Female"}
    assert len(pieces) > 1 and " ".join(piece.text for piece in pieces) == " ".join(TEXTS)
    assert all(piece.name.startswith("여성-long_") for piece in pieces)
