"""What a pair of training runs leaves behind, a tenth of the size and with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from models.checkpoints import Checkpoint, Kind, write_native
from models.gpt_sovits.published import SslName
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.network import Text2Semantic, TransformerLayer
from models.ssl.encoder import SslEncoder
from tests.unit.s2.voices import SMALL, small_voice
from training.publishing.config import PublishArgs

S1 = S1Config(
    num_semantic_tokens=SMALL.codebook_size,
    bert_dim=8,
    hidden_dim=32,
    num_heads=2,
    num_layers=2,
    feed_forward_dim=64,
)
TRANSCRIPT = "오늘 회의는 세 시에 시작합니다."


class FrameMeans:
    """An SSL encoder of the small voice's width."""

    dim = SMALL.ssl_dim
    reference_padding_samples = 0

    def encode(self, waveform: Tensor) -> Tensor:
        return waveform.unfold(1, 320, 320)[:, :, : self.dim] * 5


def open_encoder(_: SslName) -> SslEncoder:
    return FrameMeans()


def write_runs(folder: Path) -> None:
    """`s1.json`, `s2.json` with their weights, and `clip.wav` of 3.5 s."""
    torch.manual_seed(0)
    s1 = Checkpoint(Kind.S1, S1, _taciturn(Text2Semantic(S1)).state_dict())
    s2 = Checkpoint(Kind.S2, SMALL, small_voice(has_posterior=True).state_dict())
    write_native(folder / "s1.json", s1)
    write_native(folder / "s2.json", s2)
    noise = np.random.default_rng(1).normal(0, 0.1, int(3.5 * 24_000))
    soundfile.write(folder / "clip.wav", noise, 24_000)


def _taciturn(network: Text2Semantic) -> Text2Semantic:
    """Prefers to end: random weights would speak for a minute."""
    last = network.layers[-1]
    assert isinstance(last, TransformerLayer)
    with torch.no_grad():
        last.feed_forward_norm.bias.fill_(0.5)
        network.output.weight[S1.end_token].fill_(2.0)
    return network


def publish_args(folder: Path, **changes: object) -> PublishArgs:
    """A configuration that publishes what `write_runs` wrote."""
    return PublishArgs.model_validate(
        {
            "checkpoint": {
                "id": "small",
                "s1": folder / "s1.json",
                "s2": folder / "s2.json",
                "ssl": "whisper-base",
                "description": "Random weights.",
                "licence": "Apache-2.0",
            },
            "voices": [
                {
                    "id": "noise",
                    "description": "Somebody who only hisses.",
                    "licence": "Apache-2.0",
                    "references": [{"clip": folder / "clip.wav", "transcript": TRANSCRIPT}],
                }
            ],
            "card": {"data": "none", "seed": 0, "commands": ["true"]},
        }
        | changes
    )
