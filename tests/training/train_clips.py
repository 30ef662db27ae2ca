"""Clips made up for training tests: short, and learnable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s2.config import S2Config
from training.data.prepared import TOKENIZER

SAMPLE_RATE = 32_000

S1_TINY = S1Config(
    num_semantic_tokens=16,
    num_phonemes=12,
    bert_dim=2,
    hidden_dim=32,
    num_heads=2,
    num_layers=2,
    feed_forward_dim=128,  # four times the width, as upstream files have it
    dropout=0.0,
)
S2_TINY = S2Config(
    latent_channels=8,
    hidden_channels=16,
    filter_channels=16,
    num_layers=2,
    dropout=0.0,
    num_phonemes=12,
    ssl_dim=6,
    codebook_size=16,
    speaker_dim=16,
    mrte_channels=16,
    reference_channels=16,
    reference_bins=64,
    flow_layers=1,
    flow_couplings=2,
    posterior_layers=1,
    upsample_channels=32,
    segment_frames=4,
)


@dataclass(frozen=True)
class MadeUpClip:
    """A clip whose tokens and sound follow from its number: a tone that is its own."""

    number: int
    num_tokens: int
    speaker: str = "one"
    is_augmented: bool = False

    @property
    def name(self) -> str:
        return f"clip-{self.number}"

    @property
    def text(self) -> str:
        return f"sentence {self.number}"

    @property
    def phoneme_ids(self) -> list[int]:
        return [(self.number + 5 * i) % 12 for i in range(max(1, self.num_tokens // 3))]

    @property
    def semantic_tokens(self) -> list[int]:
        return [(self.number + 3 * i) % 16 for i in range(self.num_tokens)]

    @property
    def duration_s(self) -> float:
        return self.num_tokens / 25

    def waveform(self) -> Tensor:
        time_s = torch.arange(int(self.duration_s * SAMPLE_RATE)) / SAMPLE_RATE
        return 0.5 * torch.sin(2 * math.pi * (200 + 40 * (self.number % 5)) * time_s)

    def ssl_features(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.number)
        return torch.randn(2 * self.num_tokens, S2_TINY.ssl_dim, generator=generator)


def made_up_clips(count: int, speakers: int = 2) -> list[MadeUpClip]:
    """Clips of 0.6 to 1.5 s."""
    return [
        MadeUpClip(number, 16 + 5 * (number % 5), f"speaker-{number % speakers}")
        for number in range(count)
    ]


def write_tokenizer(folder: Path) -> None:
    """As a prepared folder has it."""
    save_file(made_up_tokenizer(), folder / TOKENIZER)


def made_up_tokenizer() -> dict[str, Tensor]:
    """What S2 makes tokens with."""
    generator = torch.Generator().manual_seed(0)
    codes, dim = S2_TINY.codebook_size, S2_TINY.ssl_dim
    embed = torch.randn(codes, dim, generator=generator)
    return {
        "ssl_proj.weight": torch.eye(dim).unsqueeze(2).repeat(1, 1, 2) / 2,
        "ssl_proj.bias": torch.zeros(dim),
        "codebook.inited": torch.ones(1),
        "codebook.cluster_size": torch.ones(codes),
        "codebook.embed": embed,
        "codebook.embed_avg": embed.clone(),
    }
