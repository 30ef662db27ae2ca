"""Sizes of an S2 voice: everything the networks need to be built."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class S2Config:
    """Architecture of S2; the defaults are the published GPT-SoVITS v2 voice.

    A voice of a tenth of the size is the same code with smaller numbers: no size is written
    anywhere else.

    Attributes:
        latent_channels: width of the latent the flow works on (upstream ``inter_channels``).
        hidden_channels: width of the prior encoder, the flow and the posterior encoder.
        filter_channels: inner width of the encoders' feed-forward layers.
        num_heads: attention heads of the prior encoder.
        num_layers: layers of the text encoder; the two encoders on the frame clock have half.
        kernel_size: kernel of the encoders' feed-forward convolutions, odd.
        dropout: training only.
        num_phonemes: rows of the phoneme embedding.
        ssl_dim: channels of the SSL features and of the codebook's vectors.
        codebook_size: number of semantic tokens.
        speaker_dim: width of the speaker embedding (upstream ``gin_channels``).
        mrte_channels: width of the cross-attention; equal to ``speaker_dim``, which is added there.
        reference_channels: width of the reference encoder.
        reference_bins: spectrogram bins the reference encoder reads, counted from 0 Hz.
        flow_layers, flow_couplings: WaveNet layers in a coupling, number of couplings.
        posterior_layers: WaveNet layers of the posterior encoder.
        wavenet_kernel_size: kernel of both WaveNets, odd.
        upsample_rates, upsample_kernel_sizes: one entry per generator stage, first to last.
        upsample_channels: generator width before the first stage; every stage halves it.
        resblock_kernel_sizes, resblock_dilations: one entry per parallel residual block.
        sample_rate: Hz of the waveform.
        n_fft, hop_length: of the linear spectrogram, in samples.
        segment_frames: latent frames the generator is trained on at a time.
    """

    latent_channels: int = 192
    hidden_channels: int = 192
    filter_channels: int = 768
    num_heads: int = 2
    num_layers: int = 6
    kernel_size: int = 3
    dropout: float = 0.1
    num_phonemes: int = 732
    ssl_dim: int = 768
    codebook_size: int = 1024
    speaker_dim: int = 512
    mrte_channels: int = 512
    mrte_heads: int = 4
    reference_channels: int = 128
    reference_heads: int = 2
    reference_bins: int = 704
    flow_layers: int = 4
    flow_couplings: int = 4
    posterior_layers: int = 16
    wavenet_kernel_size: int = 5
    upsample_rates: tuple[int, ...] = (10, 8, 2, 2, 2)
    upsample_kernel_sizes: tuple[int, ...] = (16, 16, 8, 2, 2)
    upsample_channels: int = 512
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    sample_rate: int = 32000
    n_fft: int = 2048
    hop_length: int = 640
    segment_frames: int = 32

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "dropout":
                _check_positive(field.name, getattr(self, field.name))
        _check(0 <= self.dropout < 1, "dropout", self.dropout, "in [0, 1)")
        _check(
            math.prod(self.upsample_rates) == self.hop_length,
            "hop_length",
            self.hop_length,
            f"the product of upsample_rates {self.upsample_rates}",
        )
        _check(
            len(self.upsample_rates) == len(self.upsample_kernel_sizes),
            "upsample_kernel_sizes",
            self.upsample_kernel_sizes,
            "one entry per upsample rate",
        )
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True):
            _check(
                kernel >= rate and (kernel - rate) % 2 == 0,
                "upsample kernel",
                kernel,
                f"at least the rate {rate} and of the same parity",
            )
        _check(
            self.upsample_channels % 2 ** len(self.upsample_rates) == 0,
            "upsample_channels",
            self.upsample_channels,
            "a multiple of 2 to the number of stages",
        )
        _check(
            len(self.resblock_kernel_sizes) == len(self.resblock_dilations),
            "resblock_dilations",
            self.resblock_dilations,
            "one entry per residual kernel",
        )
        for name in ("kernel_size", "wavenet_kernel_size"):
            _check(getattr(self, name) % 2 == 1, name, getattr(self, name), "odd")
        _check(
            all(k % 2 == 1 for k in self.resblock_kernel_sizes),
            "resblock_kernel_sizes",
            self.resblock_kernel_sizes,
            "odd",
        )
        for width, heads in (
            ("hidden_channels", "num_heads"),
            ("mrte_channels", "mrte_heads"),
            ("reference_channels", "reference_heads"),
        ):
            _check(
                getattr(self, width) % getattr(self, heads) == 0,
                width,
                getattr(self, width),
                f"a multiple of {heads} {getattr(self, heads)}",
            )
        _check(self.latent_channels % 2 == 0, "latent_channels", self.latent_channels, "even")
        _check(self.num_layers >= 2, "num_layers", self.num_layers, "at least 2")
        _check(
            self.mrte_channels == self.speaker_dim,
            "mrte_channels",
            self.mrte_channels,
            f"equal to speaker_dim {self.speaker_dim}",
        )
        _check(
            0 < self.reference_bins <= self.spec_bins,
            "reference_bins",
            self.reference_bins,
            f"between 1 and {self.spec_bins}",
        )

    @property
    def spec_bins(self) -> int:
        """Bins of the linear spectrogram."""
        return self.n_fft // 2 + 1

    @property
    def samples_per_token(self) -> int:
        """Samples one semantic token stands for: two latent frames."""
        return 2 * self.hop_length

    @classmethod
    def from_upstream(
        cls, model: Mapping[str, Any], data: Mapping[str, Any] | None = None, **sizes: Any
    ) -> "S2Config":
        """Read the ``model`` and ``data`` sections of an upstream configuration.

        Args:
            model: upstream's ``model`` section; entries S2's networks don't read are ignored.
            data: upstream's ``data`` section, for the spectrogram; the v2 values without it.
            sizes: fields upstream does not configure, such as ``ssl_dim``.

        Raises:
            ValueError: a residual block other than "1", a semantic rate other than 25 Hz, or sizes
                that do not fit each other.
        """
        _check(str(model.get("resblock", "1")) == "1", "resblock", model.get("resblock"), "'1'")
        rate = model.get("semantic_frame_rate", "25hz")
        _check(rate == "25hz", "semantic_frame_rate", rate, "'25hz'")
        sections = ((model, _UPSTREAM_MODEL), (data or {}, _UPSTREAM_DATA))
        given = {
            ours: section[theirs]
            for section, names in sections
            for theirs, ours in names.items()
            if theirs in section
        }
        if "speaker_dim" in given:
            given["mrte_channels"] = given["speaker_dim"]
        given |= sizes
        return cls(**{name: _as_tuple(value) for name, value in given.items()})


_UPSTREAM_MODEL = {
    "inter_channels": "latent_channels",
    "hidden_channels": "hidden_channels",
    "filter_channels": "filter_channels",
    "n_heads": "num_heads",
    "n_layers": "num_layers",
    "kernel_size": "kernel_size",
    "p_dropout": "dropout",
    "gin_channels": "speaker_dim",
    "upsample_rates": "upsample_rates",
    "upsample_kernel_sizes": "upsample_kernel_sizes",
    "upsample_initial_channel": "upsample_channels",
    "resblock_kernel_sizes": "resblock_kernel_sizes",
    "resblock_dilation_sizes": "resblock_dilations",
}
_UPSTREAM_DATA = {
    "sampling_rate": "sample_rate",
    "filter_length": "n_fft",
    "hop_length": "hop_length",
}


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list | tuple) else value


def _check_positive(name: str, value: object) -> None:
    """Accept a positive int, or a non-empty tuple of what is accepted."""
    if isinstance(value, tuple) and value:
        for item in value:
            _check_positive(name, item)
    else:
        _check(type(value) is int and value > 0, name, value, "made of positive integers")


def _check(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}; it must be {allowed}")
