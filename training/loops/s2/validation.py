"""How well S2 does on clips it never saw, along both ways a clip can take.

*From the posterior*: the clip's own latent, decoded; it says how good the decoder is. *From
tokens*: what serving does, but with the true tokens; it lags while the prior is still learning.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.audio.mel import log_mel_spectrogram
from models.audio.spectrogram import linear_spectrogram
from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.layers import length_mask
from models.gpt_sovits.s2.losses import mel_loss
from models.gpt_sovits.s2.synthesizer import Synthesizer, TrainingBatch
from training.loops.args import ValidationArgs
from training.loops.clips import Clip
from training.loops.device import moved
from training.loops.journal import Journal
from training.loops.s2.data import num_frames, padded, read_crop


class S2Validation:
    """Held-out clips, and what is measured on them.

    Args:
        clips: held out, each at least a segment long.
        config: of the networks.
        args: how many are measured and how many can be listened to.
        device: where the networks are.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        config: S2Config,
        args: ValidationArgs,
        device: torch.device,
    ) -> None:
        self._clips = list(clips[: args.max_clips])
        self._num_samples = args.num_samples
        self._every_updates = args.every_updates
        self._config = config
        self._device = device

    @torch.inference_mode()
    def measure(self, synthesizer: Synthesizer, journal: Journal, update: int) -> dict[str, float]:
        """Distances of log-mel spectrograms; the first clips can be heard and seen as well."""
        synthesizer.eval()
        totals = {"mel_from_posterior": 0.0, "mel_from_tokens": 0.0}
        for number, clip in enumerate(self._clips):
            length = num_frames(clip, self._config) // 2 * 2
            crop = moved(read_crop(clip, self._config, 0, length), self._device)
            batch = moved(padded([crop], length), self._device)
            target = log_mel_spectrogram(batch.spec, self._config.sample_rate)
            for name, waveform in both_ways(synthesizer, batch).items():
                log_mel = self._log_mel(waveform)
                totals[f"mel_{name}"] += float(mel_loss(target, log_mel)) / len(self._clips)
                if number < self._num_samples:
                    self._show(journal, update, f"clip_{number}/{name}", waveform, log_mel)
            if number < self._num_samples and update < self._every_updates:  # the first time
                self._show(journal, update, f"clip_{number}/true", crop.waveform[None], target)
        return totals | {"better_below": totals["mel_from_tokens"]}

    def _log_mel(self, waveform: Tensor) -> Tensor:
        spec = linear_spectrogram(waveform, self._config.n_fft, self._config.hop_length)
        return log_mel_spectrogram(spec, self._config.sample_rate)

    def _show(
        self, journal: Journal, update: int, name: str, waveform: Tensor, log_mel: Tensor
    ) -> None:
        journal.audio(update, name, waveform[0].cpu(), self._config.sample_rate)
        journal.image(update, name, log_mel[0].float().cpu())


def both_ways(synthesizer: Synthesizer, batch: TrainingBatch) -> dict[str, Tensor]:
    """A clip decoded from its posterior's mean, and from its tokens by the prior's mean.

    Returns:
        (batch, samples) float32 each, as ``from_posterior`` and ``from_tokens``.
    """
    assert synthesizer.posterior_encoder is not None  # training always has it
    lens = batch.spec_lens
    mask = length_mask(lens, batch.spec.shape[2]).to(batch.spec)
    speaker = synthesizer.reference_encoder(batch.spec, lens)
    noise = batch.spec.new_zeros(len(lens), synthesizer.config.latent_channels, batch.spec.shape[2])
    posterior = synthesizer.posterior_encoder(batch.spec, mask, speaker, noise)
    tokens = synthesizer.codebook.encode(synthesizer.project_ssl(batch.ssl_features))
    content = synthesizer.content(tokens)
    prior = synthesizer.prior_encoder(content, lens, batch.phoneme_ids, batch.phoneme_lens, speaker)
    return {
        "from_posterior": synthesizer.vocode(posterior.z, lens, speaker),
        "from_tokens": synthesizer.synthesize(prior.mean, lens, speaker),
    }
