"""TRL's trainer for adapters, with what a run tells and keeps hung into it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor
from torch.nn import functional
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from training.loops.journal import Journal
from training.loops.persona.args import PersonaArgs
from training.loops.persona.examples import IGNORED


class LineTrainer(SFTTrainer):
    """Learns lines alone; the loss is the mean negative log-likelihood of a line's token."""

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The same figure as TRL's; on a CPU several times as fast.

        TRL scores prompts too and leaves them out afterwards, except on GPUs. With a vocabulary of
        262,144 that is most of an update's work, so here the head sees the columns of lines alone.
        """
        if self.args.device.type != "cpu":
            return super().compute_loss(  # type: ignore[no-untyped-call]
                model, inputs, return_outputs, num_items_in_batch
            )
        labels = inputs["labels"][:, 1:]
        columns = (labels != IGNORED).any(dim=0).nonzero().squeeze(1)
        read = {name: value for name, value in inputs.items() if name != "labels"}
        outputs = model(**read, use_cache=False, logits_to_keep=columns)
        wanted = labels[:, columns]
        is_line = wanted != IGNORED
        loss = functional.cross_entropy(
            outputs.logits[is_line].float(), wanted[is_line], reduction="sum"
        )
        loss = loss / (is_line.sum() if num_items_in_batch is None else num_items_in_batch)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # the count is of all workers
        return (loss, outputs) if return_outputs else loss

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None: the card is written when the adapter is published."""


def lora_config(args: PersonaArgs) -> LoraConfig:
    """Plain LoRA."""
    return LoraConfig(
        r=args.lora.rank,
        lora_alpha=args.lora.alpha,
        lora_dropout=args.lora.dropout,
        target_modules=list(args.lora.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
    )


def sft_config(args: PersonaArgs, checkpoints: Path, *, is_new: bool) -> SFTConfig:
    """The trainer's settings, where ours have another name or none."""
    half = args.compute_dtype if args.precision == "nf4" else args.precision
    return SFTConfig(
        output_dir=str(checkpoints),
        per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=args.batch_size,
        gradient_accumulation_steps=args.accumulate,
        num_train_epochs=args.epochs,
        max_steps=args.max_updates or -1,
        learning_rate=args.lr,
        lr_scheduler_type="cosine",
        warmup_steps=args.warmup_share,  # below 1: a share of all updates
        weight_decay=args.weight_decay,
        max_grad_norm=args.clip_norm,
        optim="adamw_torch",
        seed=args.seed,
        # On a CPU autocasting costs more than it gains; the base is in half precision already.
        bf16=args.use_gpu and half == "bfloat16",
        fp16=args.use_gpu and half == "float16",
        activation_checkpointing=args.activation_checkpointing,
        use_cpu=not args.use_gpu,
        dataloader_pin_memory=args.use_gpu,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        packing=False,
        remove_unused_columns=False,
        eval_strategy="steps",
        eval_steps=args.validation_every_updates,
        eval_on_start=is_new,
        prediction_loss_only=True,
        save_strategy="steps",
        save_steps=args.checkpoint.every_updates,
        save_total_limit=args.checkpoint.keep,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
    )


class Watcher(TrainerCallback):
    """Tells the journal what happens, keeps the best adapter, and ends a run that shall stop.

    Args:
        journal: of the first worker; None in the others.
        on_validation: called by every worker with the update's number, from 1, and the loss.
        should_stop: asked after every update; all workers must be answered the same.
    """

    def __init__(
        self,
        journal: Journal | None,
        on_validation: Callable[[int, float], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._journal = journal
        self._on_validation = on_validation
        self._should_stop = should_stop
        self.was_stopped = False

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Figures of one update; those of the whole run at its end are not repeated."""
        if self._journal is not None and logs is not None and "loss" in logs:
            values = {
                "loss": logs["loss"],
                "learning_rate": logs["learning_rate"],
                "grad_norm": float(logs["grad_norm"]),
            }
            epoch = max(math.ceil(logs["epoch"]) - 1, 0)
            self._journal.training(state.global_step - 1, epoch, values)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """The loss of held-out lines."""
        assert metrics is not None  # the trainer always gives them
        if self._journal is not None:
            self._journal.validation(state.global_step - 1, {"loss": metrics["eval_loss"]})
        self._on_validation(state.global_step, metrics["eval_loss"])

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Save and stop where that is asked for."""
        if self._should_stop():
            self.was_stopped = True
            control.should_save = True
            control.should_training_stop = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """What was told belongs to the checkpoint."""
        if self._journal is not None:
            self._journal.flush()
