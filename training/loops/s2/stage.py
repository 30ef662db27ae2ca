"""S2 as the loop sees it: generator and discriminators in turn, what is kept.

Before ``gan_from_update`` the generator learns from mel, STFT and KL losses alone, which is cheap
and takes a voice from noise to words; then the discriminators join and make it sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.audio.mel import log_mel_spectrogram
from models.audio.spectrogram import linear_spectrogram
from models.checkpoints import Checkpoint, DiscriminatorConfig, Kind
from models.gpt_sovits.s2.discriminator import Discriminators
from models.gpt_sovits.s2.losses import (
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    kl_loss,
    mel_loss,
)
from models.gpt_sovits.s2.synthesizer import Synthesizer, TrainingOutput, slice_frames
from training.loops.clips import Clip, of_speakers, split
from training.loops.device import moved
from training.loops.journal import Journal
from training.loops.loop import Update
from training.loops.mixed_precision import GradientStep, autocast_calls
from training.loops.s2.args import S2Args
from training.loops.s2.data import S2Data, S2TrainingBatch, check_phonemes, num_frames
from training.loops.s2.networks import initial_discriminators, initial_synthesizer
from training.loops.s2.stft_loss import multi_resolution_stft_loss
from training.loops.s2.validation import S2Validation
from training.loops.sampler import EpochSampler
from training.loops.strict import ConfigError
from training.loops.world import World

_READS_TEXT = (
    "prior_encoder.phoneme_embedding.",
    "prior_encoder.text_encoder.",
    "prior_encoder.mrte.",
)


class S2Stage:
    """The networks, their optimizers and their data.

    Args:
        args: of the run.
        clips: all of the data.
        tokenizer: ``ssl_proj`` and ``codebook`` that made the data's semantic tokens; they stay.
        world: this worker among the others.

    Raises:
        ConfigError: the data or the base does not fit what ``args`` ask for.
    """

    def __init__(
        self,
        args: S2Args,
        clips: Sequence[Clip],
        tokenizer: Mapping[str, Tensor],
        world: World,
    ) -> None:
        self.args = args
        self.world = world
        self.synthesizer = initial_synthesizer(args, tokenizer).to(world.device)
        self.discriminators = initial_discriminators(args).to(world.device)
        self.config = self.synthesizer.config
        training, held_out = split(self._usable(clips), args.validation.share)
        check_phonemes(held_out, self.config)
        self.data = S2Data(
            training,
            self.config,
            self._sampler(training),
            args.max_crop_frames,
            args.prior_share,
            world,
        )
        self.validation = S2Validation(held_out, self.config, args.validation, world.device)
        self.generator_step = self._step(_parameter_groups(self.synthesizer, args.text_lr_scale))
        self.discriminator_step = self._step([{"params": list(self.discriminators.parameters())}])
        # The quantiser stays in float32: rounded, it would make other tokens than S1 has learned.
        parts = [m for name, m in self.synthesizer.named_children() if name not in _EXACT_PARTS]
        autocast_calls([*parts, self.discriminators], args.precision, world.device.type)
        if args.prior_share:
            flow = [self.synthesizer.flow]
            autocast_calls(flow, args.precision, world.device.type, method="inverse")

    def update(self, batches: list[S2TrainingBatch], update: int, epoch: int) -> Update:
        """The discriminators' step where they take part already, then the generator's."""
        self.synthesizer.train()
        self.discriminators.train()
        moved_batches = [moved(batch, self.world.device) for batch in batches]
        kept: list[TrainingOutput] = []
        losses: dict[str, Tensor] = {}
        others = {
            "lr": self.args.lr.value(update, epoch),
            "kl_weight": self.args.kl_weight.value(update, epoch),
        }
        has_gan = update >= self.args.gan_from_update
        if has_gan:
            for batch in moved_batches:
                # One batch keeps its graph for the generator's turn. Several would fill the memory.
                with torch.set_grad_enabled(len(batches) == 1):
                    kept.append(self._forward(batch))
                self._learn_to_judge(batch, kept[-1], len(batches), losses)
            rate = self.args.discriminator_lr.value(update, epoch)
            self.discriminator_step.set_learning_rate(rate)
            others["discriminator_gradient_norm"] = self.discriminator_step.step()
        self.discriminators.requires_grad_(False)
        for batch in moved_batches:
            out = kept[0] if has_gan and len(batches) == 1 else self._forward(batch)
            self._learn_to_speak(batch, out, len(batches), losses, update, epoch)
        self.discriminators.requires_grad_(True)
        self.generator_step.set_learning_rate(others["lr"])
        others["gradient_norm"] = self.generator_step.step()
        return Update(losses, others)

    def validate(self, journal: Journal, update: int) -> dict[str, float]:
        """See ``S2Validation``."""
        return self.validation.measure(self.synthesizer, journal, update)

    def weights(self) -> dict[str, Checkpoint]:
        """The voice, as ``s2``, with its posterior encoder; and ``discriminators``."""
        divisor = DiscriminatorConfig(_width_divisor(self.discriminators))
        judges = Checkpoint(Kind.S2_DISCRIMINATORS, divisor, _on_cpu(self.discriminators))
        voice = Checkpoint(Kind.S2, self.config, _on_cpu(self.synthesizer))
        return {"s2": voice, "discriminators": judges}

    def state_dict(self) -> dict[str, Any]:
        """Weights and the optimizers' memory."""
        return {
            "synthesizer": self.synthesizer.state_dict(),
            "discriminators": self.discriminators.state_dict(),
            "generator_step": self.generator_step.state_dict(),
            "discriminator_step": self.discriminator_step.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo ``state_dict``."""
        self.synthesizer.load_state_dict(state["synthesizer"])
        self.discriminators.load_state_dict(state["discriminators"])
        self.generator_step.load_state_dict(state["generator_step"])
        self.discriminator_step.load_state_dict(state["discriminator_step"])

    def _forward(self, batch: S2TrainingBatch) -> TrainingOutput:
        out: TrainingOutput = self.synthesizer(
            batch.inputs, batch.posterior_noise, batch.slice_starts, batch.rows_from_prior
        )
        return out

    def _learn_to_judge(
        self,
        batch: S2TrainingBatch,
        out: TrainingOutput,
        num_batches: int,
        losses: dict[str, Tensor],
    ) -> None:
        real = self.discriminators(batch.target)
        fake = self.discriminators(out.waveform.detach().float())
        loss = discriminator_loss(real, fake) * (batch.rows_share / num_batches)
        self.discriminator_step.backward(loss)
        _add(losses, {"discriminator": loss})

    def _learn_to_speak(
        self,
        batch: S2TrainingBatch,
        out: TrainingOutput,
        num_batches: int,
        losses: dict[str, Tensor],
        update: int,
        epoch: int,
    ) -> None:
        args = self.args
        waveform = out.waveform.float()
        stft_weight = args.stft_weight.value(update, epoch)
        terms = {"mel": self._mel_loss(batch, waveform)}
        weights = {"mel": args.mel_weight, "stft": stft_weight}
        if stft_weight:
            terms["stft"] = multi_resolution_stft_loss(waveform[:, 0], batch.target[:, 0])
        if update >= args.gan_from_update:
            with torch.no_grad():
                real = self.discriminators(batch.target)
            fake = self.discriminators(waveform)
            terms |= {
                "adversarial": generator_loss(fake),
                "feature_matching": feature_matching_loss(real, fake),
            }
        shares = {name: term * (batch.rows_share / num_batches) for name, term in terms.items()}
        kl = kl_loss(
            out.z_prior,
            out.posterior.log_std,
            out.prior.mean,
            out.prior.log_std,
            out.prior.mask,
        )
        shares["kl"] = kl * (batch.frames_share / num_batches)
        weights["kl"] = args.kl_weight.value(update, epoch)
        weighted = [weights.get(name, 1.0) * share for name, share in shares.items()]
        self.generator_step.backward(torch.stack(weighted).sum())
        _add(losses, shares)

    def _mel_loss(self, batch: S2TrainingBatch, waveform: Tensor) -> Tensor:
        """The target is cut from the whole clip's spectrogram, as in the reference."""
        config = self.config
        spec = slice_frames(batch.inputs.spec, batch.slice_starts, config.segment_frames)
        ours = linear_spectrogram(waveform[:, 0], config.n_fft, config.hop_length)
        return mel_loss(
            log_mel_spectrogram(spec, config.sample_rate),
            log_mel_spectrogram(ours, config.sample_rate),
        )

    def _usable(self, clips: Sequence[Clip]) -> list[Clip]:
        """Clips with sound to learn from that are as long as asked for, and as a segment."""
        args, segment = self.args, self.config.segment_frames
        usable = [
            clip
            for clip in of_speakers(clips, args.speakers)
            if not clip.is_augmented
            and clip.phoneme_ids
            and args.min_clip_s < clip.duration_s < args.max_clip_s
            and num_frames(clip, self.config) >= segment
        ]
        if not usable:
            raise ConfigError(
                f"none of {len(clips)} clips is longer than {args.min_clip_s} s and shorter than "
                f"{args.max_clip_s} s with {segment} frames or more"
            )
        return usable

    def _sampler(self, clips: Sequence[Clip]) -> EpochSampler:
        return EpochSampler(
            [clip.speaker for clip in clips],
            [clip.duration_s for clip in clips],
            self.args.batch_size,
            self.args.seed,
            self.args.bucket_s,
        )

    def _step(self, groups: list[dict[str, Any]]) -> GradientStep:
        args = self.args
        optimizer = torch.optim.AdamW(
            groups,
            lr=0.0,  # set before every step
            betas=args.betas,
            eps=args.eps,
            weight_decay=args.weight_decay,
            fused=True,
        )
        return GradientStep(optimizer, self.world, args.precision, args.clip_norm)


_EXACT_PARTS = ("ssl_proj", "codebook")


def _parameter_groups(synthesizer: Synthesizer, text_lr_scale: float) -> list[dict[str, Any]]:
    """What reads the text learns more slowly; what is frozen, not at all."""
    trained = [(name, p) for name, p in synthesizer.named_parameters() if p.requires_grad]
    return [
        {"params": [p for name, p in trained if not name.startswith(_READS_TEXT)]},
        {
            "params": [p for name, p in trained if name.startswith(_READS_TEXT)],
            "lr_scale": text_lr_scale,
        },
    ]


def _width_divisor(discriminators: Discriminators) -> int:
    first = discriminators.get_submodule("discriminators.0.convs.0")
    return 16 // first.bias.numel()  # type: ignore[operator]


def _on_cpu(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}


def _add(totals: dict[str, Tensor], shares: Mapping[str, Tensor]) -> None:
    for name, share in shares.items():
        totals[name] = totals.get(name, torch.zeros_like(share.detach())) + share.detach()
