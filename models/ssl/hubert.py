"""HuBERT base features: what published GPT-SoVITS voices quantise."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import HubertModel

# The reference pads by 0.3 s counted at 32 kHz, in samples at 16 kHz: 0.6 s. Published voices are
# prompted this way, so the number stays.
_REFERENCE_PADDING_SAMPLES = 9_600


class HubertEncoder:
    """The last hidden state of a HuBERT model, 50 frames a second.

    The waveform goes in as it is: the zero-mean, unit-variance step of the usual feature
    extractor is left out, as voices were trained without it.
    """

    def __init__(self, model: "HubertModel") -> None:
        self.model = model.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path) -> "HubertEncoder":
        """Read a model such as chinese-hubert-base from a local folder, safetensors only.

        Raises:
            OSError: the folder holds no such model.
        """
        from transformers import HubertModel

        return cls(HubertModel.from_pretrained(folder, local_files_only=True, use_safetensors=True))

    @property
    def dim(self) -> int:
        return int(self.model.config.hidden_size)

    @property
    def reference_padding_samples(self) -> int:
        return _REFERENCE_PADDING_SAMPLES

    @torch.no_grad()
    def encode(self, waveform: Tensor) -> Tensor:
        """Features of (batch, samples) at 16 kHz: (batch, (samples - 80) // 320, dim)."""
        features: Tensor = self.model(waveform).last_hidden_state
        return features
