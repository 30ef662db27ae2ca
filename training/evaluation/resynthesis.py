"""S2 on trial without S1: it speaks the tokens of what another voice says."""

from __future__ import annotations

import zlib
from itertools import chain

import torch

from models.audio.resample import resample
from models.gpt_sovits.s2.decoding import decode
from models.gpt_sovits.s2.segment import Segment
from models.ssl.encoder import SSL_SAMPLE_RATE, SslEncoder
from models.text.frontend import analyze
from training.evaluation.recording import Recording
from training.evaluation.speakers import GptSovitsSpeaker, Speaker


class Resynthesizer:
    """A voice whose semantic tokens are those of a teacher's speech.

    Args:
        voice: its S2 and its timbre speak.
        teacher: says the text first.
        encoder: the one that the voice's tokens are made with.
    """

    def __init__(self, voice: GptSovitsSpeaker, teacher: Speaker, encoder: SslEncoder) -> None:
        self.voice = voice.voice
        self.engine = f"{voice.engine}, S2 alone, tokens of {teacher.voice}"
        self._spoken_by = voice
        self._teacher = teacher
        self._encoder = encoder

    @torch.no_grad()
    def speak(self, text: str) -> Recording:
        """Speak what the teacher says; `ValueError` if that lasts longer than 29.7 s."""
        synthesizer = self._spoken_by.synthesizer
        said = self._teacher.speak(text)
        waveform = resample(torch.from_numpy(said.waveform), said.sample_rate, SSL_SAMPLE_RATE)
        features = self._encoder.encode(waveform.unsqueeze(0))
        parts = analyze(text, self._spoken_by.language)
        phoneme_ids = list(chain.from_iterable(part.phoneme_ids for part in parts))
        segment = Segment(
            synthesizer.extract_latent(features)[0],
            torch.tensor(phoneme_ids),
            self._spoken_by.reference.speaker,
            seed=zlib.crc32(text.encode()),
            noise_scale=self._spoken_by.sampling.noise_scale,
        )
        (spoken,) = decode(synthesizer, [segment])
        return Recording(spoken.numpy(), synthesizer.config.sample_rate)

    def clips(self) -> list[Recording]:
        return self._spoken_by.clips()
