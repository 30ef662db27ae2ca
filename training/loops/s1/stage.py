"""S1 as the loop sees it: one update, one validation, what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.checkpoints import Checkpoint, Kind, read_checkpoint
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.network import Text2Semantic
from models.optim.scaled_adam import ScaledAdam
from training.loops.clips import Clip, of_speakers, split
from training.loops.device import moved
from training.loops.journal import Journal
from training.loops.loop import Update
from training.loops.mixed_precision import GradientStep, autocast_calls
from training.loops.s1.args import AdamWArgs, S1Args
from training.loops.s1.data import S1Data, S1TrainingBatch, check_ids, fits
from training.loops.s1.objective import losses
from training.loops.s1.timings import Timings
from training.loops.s1.validation import S1Validation
from training.loops.sampler import EpochSampler
from training.loops.seeds import seed_weights
from training.loops.strict import ConfigError
from training.loops.world import World


class S1Stage:
    """The network, its optimizer and its data.

    Args:
        args: of the run.
        clips: all of the data.
        world: this worker among the others.
        timings: when phonemes are heard, for ``args.guided_attention``.

    Raises:
        ConfigError: the data or the base does not fit what ``args`` ask for.
    """

    def __init__(
        self,
        args: S1Args,
        clips: Sequence[Clip],
        world: World,
        timings: Timings | None = None,
    ) -> None:
        self.args = args
        self.world = world
        usable = [c for c in of_speakers(clips, args.speakers) if fits(c, args.max_clip_s)]
        training, held_out = split(usable, args.validation.share)
        self.network = initial_network(args).to(world.device)
        self.config: S1Config = self.network.config
        if max(args.guided_attention.layers) >= self.config.num_layers:
            raise ConfigError(
                f"guided_attention.layers {args.guided_attention.layers} name a layer beyond the "
                f"{self.config.num_layers} of the network"
            )
        check_ids(held_out, self.config)
        self.data = S1Data(
            training,
            self.config,
            self._sampler(training),
            args.token_noise,
            args.preference,
            world,
            timings,
        )
        self.validation = S1Validation(held_out, self.config, args, world.device)
        self.gradients = GradientStep(self._optimizer(), world, args.precision, args.clip_norm)
        autocast_calls([self.network], args.precision, world.device.type)

    def update(self, batches: list[S1TrainingBatch], update: int, epoch: int) -> Update:
        """One step of the optimizer on some batches."""
        args = self.args
        rate = args.optimizer.lr.value(update, epoch)
        weights = {
            "guided_attention": args.guided_attention.weight.value(update, epoch),
            "alignment": args.guided_attention.alignment_weight.value(update, epoch),
        }
        guided_by = [name for name, weight in weights.items() if weight]
        self.network.train()
        totals: dict[str, Tensor] = {}
        for batch in batches:
            terms = losses(
                self.network,
                moved(batch, self.world.device),
                has_padding=not self._is_averaged,
                label_smoothing=args.label_smoothing,
                guidance=args.guided_attention,
                guided_by=guided_by,
            )
            objective = torch.stack([weights.get(n, 1.0) * t for n, t in terms.items()]).sum()
            if self._is_averaged:
                objective = objective / (batch.num_targets * len(batches))
            self.gradients.backward(objective)
            for name, term in terms.items():
                share = term.detach() / (batch.num_targets * len(batches))
                totals[name] = totals[name] + share if name in totals else share
        self.gradients.set_learning_rate(rate)
        norm = self.gradients.step()
        return Update(totals, {"gradient_norm": norm, "lr": rate})

    def validate(self, journal: Journal, update: int) -> dict[str, float]:
        """See ``S1Validation``."""
        return self.validation.measure(self.network, journal, update)

    def weights(self) -> dict[str, Checkpoint]:
        """The network, as ``s1``."""
        state = {name: tensor.detach().cpu() for name, tensor in self.network.state_dict().items()}
        return {"s1": Checkpoint(Kind.S1, self.config, state)}

    def state_dict(self) -> dict[str, Any]:
        """Weights and the optimizer's memory."""
        return {"network": self.network.state_dict(), "gradients": self.gradients.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo ``state_dict``."""
        self.network.load_state_dict(state["network"])
        self.gradients.load_state_dict(state["gradients"])

    @property
    def _is_averaged(self) -> bool:
        """The reference's optimizer takes sums; its rate was found for them."""
        return isinstance(self.args.optimizer, AdamWArgs)

    def _sampler(self, clips: Sequence[Clip]) -> EpochSampler:
        return EpochSampler(
            [clip.speaker for clip in clips],
            [clip.duration_s for clip in clips],
            self.args.batch_size,
            self.args.seed,
            self.args.bucket_s,
            pair_share=self.args.pair_share,
            max_pair_s=self.args.max_clip_s,
        )

    def _optimizer(self) -> torch.optim.Optimizer:
        settings = self.args.optimizer
        if not isinstance(settings, AdamWArgs):
            return ScaledAdam(self.network.parameters())
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=0.0,  # set before every step
            betas=settings.betas,
            eps=settings.eps,
            weight_decay=settings.weight_decay,
            fused=True,
        )


def initial_network(args: S1Args) -> Text2Semantic:
    """From scratch, or the base's.

    Raises:
        ConfigError: the base is not of S1.
        CheckpointError: it cannot be read.
    """
    if args.network is not None:
        seed_weights(args.seed)
        return Text2Semantic(args.network)
    assert args.base is not None  # one of the two is given
    network = read_checkpoint(args.base).build()
    if not isinstance(network, Text2Semantic):
        raise ConfigError(f"base {args.base} is no S1 checkpoint but a {type(network).__name__}")
    return network
