"""What `training.prepare` can be told; see `training/configs/prepare.yaml` for a commented one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.gpt_sovits.published import SslName
from training.data.prepared import Output
from training.loops.strict import StrictModel

FieldPaths = Annotated[
    list[str],
    Field(description="dotted paths into a label, tried in order: `화자정보.SpeakerName`"),
]


class ListInput(StrictModel):
    """Lines `path|speaker|language|text` in UTF-8; no path may leave the folder of the list."""

    kind: Literal["list"]
    path: Path | None = Field(default=None, description="the list, or a folder with a list.txt")


class LabelFields(StrictModel):
    """Where a label keeps what is needed; the names of data sets differ, so they are data."""

    text: FieldPaths
    speaker: FieldPaths
    labels: dict[str, FieldPaths] = Field(
        default={}, description="kept with each clip: emotion, age, gender, style"
    )


class AiHubInput(StrictModel):
    """Audio below folders `TS_*`, and one JSON label for each at the same place below `TL_*`."""

    kind: Literal["aihub"]
    path: Path | None = None
    language: str = "ko"
    folder_prefixes: list[tuple[str, str]] = Field(
        default=[("TS_", "TL_"), ("VS_", "VL_")], min_length=1, description="(audio, label)"
    )
    audio_suffixes: list[str] = Field(default=[".wav", ".flac", ".mp3", ".ogg"], min_length=1)
    fields: LabelFields


class Ssl(StrictModel):
    """The encoder whose features become semantic tokens; it has to be that of the voice."""

    encoder: SslName
    folder: Path | None = Field(default=None, description="of the HuBERT weights")

    @model_validator(mode="after")
    def _hubert_has_a_folder(self) -> Ssl:
        if (self.encoder == "hubert-base") != (self.folder is not None):
            raise ValueError("hubert-base needs a folder; whisper-base is packaged and has none")
        return self


class FitTokens(StrictModel):
    """Fit a new codebook on this corpus: for a voice trained from scratch."""

    num_centres: int = Field(default=512, ge=2, le=1024)
    seed: int = 0
    max_vectors: int = Field(
        default=200_000, ge=2, description="averaged frames it is fitted on: bounds memory"
    )
    num_iterations: int = Field(default=20, ge=1, le=1_000)


class Checks(StrictModel):
    """What a clip must be like to be kept."""

    min_s: float = Field(default=0.8, gt=0.6, description="the reference drops 0.6 s and less")
    max_s: float = Field(default=15.0, gt=1, le=28, description="longer audio is sliced")
    max_source_s: float = Field(default=900.0, gt=1, le=7_200, description="bounds memory")
    max_clipped_share: float = Field(default=0.001, ge=0, le=1)
    min_snr_db: float = Field(default=18.0, ge=0, description="loud frames over quiet ones")
    min_level_db: float = Field(default=-45.0, le=0, description="of the loud frames")
    min_speech_s: float = Field(default=0.3, ge=0, description="that the voice detector hears")
    phonemes_per_s: tuple[float, float] = Field(
        default=(3.0, 25.0), description="outside, the reference drops a clip when it trains S1"
    )


class Recognition(StrictModel):
    """Listen to every clip and compare with its transcript; also what slices long audio."""

    max_character_error_rate: float = Field(default=0.5, gt=0, le=1)


Silence = Annotated[float, Field(ge=0, le=1.5)]


class Augmentation(StrictModel):
    """Copies with noise and leading silence: prompts from a real microphone have both."""

    share: float = Field(gt=0, le=1, description="of the clips that get a copy")
    seed: int = 0
    noise_db: tuple[float, float] = Field(default=(-60.0, -48.0), description="RMS, full scale 0")
    silence_s: tuple[Silence, Silence] = (0.1, 1.0)

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Augmentation:
        for name in ("noise_db", "silence_s"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is {low} to {high}")
        return self


class PrepareConfig(StrictModel):
    """Everything that decides what is prepared, and how many workers do it."""

    input: Annotated[ListInput | AiHubInput, Field(discriminator="kind")]
    out: Path | None = None
    output: Output = "layout"
    ssl: Ssl
    fit_tokens: FitTokens | None = None
    tokens_of: Path | None = Field(
        default=None, description="s2.json of a checkpoint whose codebook is used"
    )
    checks: Checks = Checks()
    recognition: Recognition | None = None
    augmentation: Augmentation | None = None
    sources_per_shard: int = Field(
        default=32, ge=1, le=4_096, description="one shard is lost when a run is killed"
    )
    workers: int = Field(default=1, ge=1, le=1_024)
    threads_per_worker: int = Field(default=1, ge=1, le=64)

    @model_validator(mode="after")
    def _tokens_have_one_origin(self) -> PrepareConfig:
        if (self.fit_tokens is None) == (self.tokens_of is None):
            raise ValueError("give either fit_tokens or tokens_of")
        return self

    def settings(self) -> str:
        """What decides the result, as text that differs whenever the result may."""
        return self.model_dump_json(
            indent=1, exclude={"input": {"path"}, "out": True, "workers": True}
        )
