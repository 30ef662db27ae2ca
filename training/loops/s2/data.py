"""Batches for S2: crops of clips, their spectrogram and SSL features, and all that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.audio.spectrogram import linear_spectrogram
from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.synthesizer import TrainingBatch, draw_slice_starts
from training.loops.clips import Clip
from training.loops.sampler import Draw, EpochSampler
from training.loops.seeds import item_generator
from training.loops.strict import ConfigError
from training.loops.world import World


@dataclass(frozen=True)
class Crop:
    """A stretch of a clip, text uncut."""

    waveform: Tensor
    """(frame * hop_length,) float32"""
    spec: Tensor
    """(bin, frame)"""
    ssl_features: Tensor
    """(frame, ssl_dim)"""
    phoneme_ids: Tensor
    """(phoneme,) int64"""


@dataclass(frozen=True)
class S2TrainingBatch:
    """This worker's rows of a batch."""

    inputs: TrainingBatch
    posterior_noise: Tensor
    """(row, latent_channel, frame)"""
    slice_starts: Tensor
    """(row,) int64"""
    rows_from_prior: Tensor | None
    """(row,) bool, see ``Synthesizer.forward``; None where no row ever is."""
    target: Tensor
    """(row, 1, segment_frames * hop_length): the sound of the slices."""
    rows_share: float
    """Of this worker's rows in the whole batch."""
    frames_share: float
    """Of its frames."""


def num_frames(clip: Clip, config: S2Config) -> int:
    """Whole spectrogram frames of a clip."""
    return int(round(clip.duration_s * config.sample_rate)) // config.hop_length


def read_crop(clip: Clip, config: S2Config, start: int, length: int) -> Crop:
    """Frames ``start`` to ``start + length`` of a clip.

    The spectrogram equals that part of the whole clip's; only what it sees is computed.

    Raises:
        ConfigError: the clip's audio or features are shorter than its stated duration.
    """
    hop = config.hop_length
    waveform = clip.waveform()
    ssl_features = clip.ssl_features()
    if len(waveform) < (start + length) * hop or len(ssl_features) + 1 < start + length:
        raise ConfigError(
            f"clip {clip.name} has {len(waveform)} samples and {len(ssl_features)} SSL frames; "
            f"its duration of {clip.duration_s:.2f} s asks for {start + length} frames"
        )
    context = -(-config.n_fft // 2 // hop)  # frames whose samples a frame's window reaches into
    first = max(0, start - context)
    stop = start + length + context
    stop_sample = len(waveform) if stop * hop >= len(waveform) else stop * hop
    around = linear_spectrogram(waveform[None, first * hop : stop_sample], config.n_fft, hop)[0]
    if len(ssl_features) < start + length:  # by one frame, where the two clocks round differently
        ssl_features = torch.cat((ssl_features, ssl_features[-1:]))
    return Crop(
        waveform[start * hop : (start + length) * hop],
        around[:, start - first : start - first + length],
        ssl_features[start : start + length],
        torch.tensor(clip.phoneme_ids),
    )


def padded(crops: Sequence[Crop], width: int) -> TrainingBatch:
    """Crops with zeros up to ``width`` frames, which is even."""
    return TrainingBatch(
        ssl_features=torch.stack(
            [F.pad(crop.ssl_features, (0, 0, 0, width - len(crop.ssl_features))) for crop in crops]
        ),
        spec=torch.stack([F.pad(crop.spec, (0, width - crop.spec.shape[1])) for crop in crops]),
        spec_lens=torch.tensor([crop.spec.shape[1] for crop in crops]),
        phoneme_ids=pad_sequence([crop.phoneme_ids for crop in crops], batch_first=True),
        phoneme_lens=torch.tensor([len(crop.phoneme_ids) for crop in crops]),
    )


class S2Data:
    """Training clips of S2.

    Args:
        clips: at least a segment long each.
        config: of the network.
        sampler: order of ``clips``.
        max_crop_frames: even; None for whole clips.
        prior_share: chance of a row to be decoded from the prior.
        world: whose rows are made.

    Raises:
        ConfigError: a clip has phonemes the network does not know.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        config: S2Config,
        sampler: EpochSampler,
        max_crop_frames: int | None,
        prior_share: float,
        world: World,
    ) -> None:
        check_phonemes(clips, config)
        self.sampler = sampler
        self._clips = list(clips)
        self._config = config
        self._lengths = [
            min(num_frames(clip, config), max_crop_frames or num_frames(clip, config))
            for clip in clips
        ]
        self._prior_share = prior_share
        self._world = world

    def collate(self, draws: list[Draw]) -> S2TrainingBatch:
        """This worker's rows, padded as the whole batch is."""
        config = self._config
        lengths = [self._lengths[draw.clips[0]] for draw in draws]
        width = 2 * (max(lengths) // 2 + 1)  # as the reference pads: even, and never nothing
        mine = self._world.rows(draws)
        generators = [item_generator(self.sampler.seed, d.epoch, d.position) for d in mine]
        crops = [self._crop(d.clips[0], g) for d, g in zip(mine, generators, strict=True)]
        inputs = padded(crops, width)
        uniform = torch.cat([torch.rand(1, generator=g) for g in generators])
        starts = draw_slice_starts(uniform, inputs.spec_lens, config.segment_frames)
        noise = [torch.randn(config.latent_channels, width, generator=g) for g in generators]
        chances = torch.cat([torch.rand(1, generator=g) for g in generators])
        hop, segment = config.hop_length, config.segment_frames
        targets = [
            crop.waveform[start * hop : (start + segment) * hop]
            for crop, start in zip(crops, starts.tolist(), strict=True)
        ]
        return S2TrainingBatch(
            inputs,
            torch.stack(noise),
            starts,
            chances < self._prior_share if self._prior_share else None,
            torch.stack(targets).unsqueeze(1),
            len(mine) / len(draws),
            int(inputs.spec_lens.sum()) / sum(lengths),
        )

    def _crop(self, index: int, generator: torch.Generator) -> Crop:
        clip, length = self._clips[index], self._lengths[index]
        # Starts are even: a token covers two frames.
        num_starts = (num_frames(clip, self._config) - length) // 2 + 1
        start = 2 * int(torch.randint(num_starts, (), generator=generator))
        return read_crop(clip, self._config, start, length)


def check_phonemes(clips: Sequence[Clip], config: S2Config) -> None:
    """Raises ConfigError when a clip's phonemes lie outside the network's table."""
    for clip in clips:
        if not 0 <= min(clip.phoneme_ids) <= max(clip.phoneme_ids) < config.num_phonemes:
            raise ConfigError(
                f"clip {clip.name} has phoneme id {max(clip.phoneme_ids)}; "
                f"the network knows 0 to {config.num_phonemes - 1}"
            )
