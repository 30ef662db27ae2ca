"""The network: IPA tokens and a style vector to a waveform, under ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.kokoro.errors import NothingToSpeak, OutOfRange, TooManyTokens
from models.kokoro.graph import load_graph

SAMPLE_RATE = 24_000
STYLE_DIM = 256
MIN_SPEED, MAX_SPEED = 0.4, 2.5

_BOUNDARY_TOKEN = 0
_TRIM_FRAME_SAMPLES = 240
# Speech fades into the network's noise floor about 60 dB below its peak. What is cut lies below
# that, and a margin stays on both sides for breath and release.
_TRIM_BELOW_PEAK_DB = 55.0
_TRIM_MARGIN_FRAMES = 4

Waveform = npt.NDArray[np.float32]


class KokoroModel:
    """Weights, vocabulary and style table. It keeps nothing about a request."""

    def __init__(self, folder: Path, num_threads: int = 1) -> None:
        """Load the files of `models.assets.KOKORO`.

        Args:
            folder: where model.onnx, vocab.json and voices.npz lie.
            num_threads: threads of one synthesis.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the cores that other stages compute on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(
            load_graph(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._token_of: dict[str, int] = json.loads((folder / "vocab.json").read_text())["vocab"]
        with np.load(folder / "voices.npz", allow_pickle=False) as table:
            self._styles = {name: table[name].reshape(-1, STYLE_DIM) for name in table.files}
        self.max_tokens = min(len(rows) for rows in self._styles.values()) - 1

    @property
    def styles(self) -> Mapping[str, Waveform]:
        """Style table by name, each `(510, 256)`: meant as one row per number of tokens."""
        return self._styles

    def tokenize(self, ipa: str) -> list[int]:
        """Token ids of `ipa`.

        Raises:
            KeyError: a symbol is not in the vocabulary.
            NothingToSpeak: it is empty.
            TooManyTokens: it is longer than the style table.
        """
        if not ipa:
            raise NothingToSpeak("there is nothing to speak in this segment")
        if len(ipa) > self.max_tokens:
            raise TooManyTokens(len(ipa), self.max_tokens)
        return [self._token_of[symbol] for symbol in ipa]

    def synthesize(self, ipa: str, style: Waveform, speed: float = 1.0) -> Waveform:
        """Speak `ipa`; equal arguments give equal bytes.

        Args:
            ipa: symbols of the vocabulary, at most `max_tokens`.
            style: `(256,)` float32, a row of a style table or a mixture of rows.
            speed: 1 is the speaker's own; larger is faster.

        Returns:
            `(samples,)` float32 at 24 kHz, silence at both ends trimmed.

        Raises:
            OutOfRange: `speed` is not between 0.4 and 2.5.
            ValueError: `style` has another shape.
        """
        if style.shape != (STYLE_DIM,):
            raise ValueError(f"style has shape {style.shape}; it must be ({STYLE_DIM},)")
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise OutOfRange(f"speed is {speed}; it must be from {MIN_SPEED} to {MAX_SPEED}")
        tokens = self.tokenize(ipa)
        (waveform,) = self._session.run(
            ["audio"],
            {
                "tokens": np.array([[_BOUNDARY_TOKEN, *tokens, _BOUNDARY_TOKEN]], np.int64),
                "style": style[None],
                "speed": np.array([speed], np.float32),
            },
        )
        return trim_silence(np.asarray(waveform, np.float32).reshape(-1))


def trim_silence(waveform: Waveform) -> Waveform:
    """Cut what lies 55 dB below the loudest frame at both ends, less a margin of 40 ms."""
    num_frames = len(waveform) // _TRIM_FRAME_SAMPLES
    if num_frames == 0:
        return waveform
    frames = waveform[: num_frames * _TRIM_FRAME_SAMPLES].reshape(num_frames, -1)
    peak = np.abs(frames).max(axis=1)
    loud = np.flatnonzero(peak > peak.max() * 10 ** (-_TRIM_BELOW_PEAK_DB / 20))
    if len(loud) == 0:
        return waveform
    start = max(int(loud[0]) - _TRIM_MARGIN_FRAMES, 0) * _TRIM_FRAME_SAMPLES
    stop = (int(loud[-1]) + 1 + _TRIM_MARGIN_FRAMES) * _TRIM_FRAME_SAMPLES
    return waveform[start:stop]
