"""What an adapter is worth in each precision it may be served in, without an engine's help.

Logits are compared with those of the precision it was trained in, at every token of held-out lines;
lines are drawn from the plain model, so that no guide and no repair hides a broken format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from models.persona.adapter import ServedPrecision
from models.persona.persona import Persona, Sampling
from training.loops.persona.args import PersonaArgs
from training.loops.persona.base import Base
from training.loops.persona.examples import Collator, Example, make_examples
from training.loops.strict import ConfigError
from training.persona.line_format import fault_of
from training.persona.rows import Row


@dataclass(frozen=True)
class Measured:
    """Figures of one precision, and the lines it wrote."""

    served: ServedPrecision
    lines: list[str]


def measure(
    args: PersonaArgs,
    base: Base,
    adapter: Path,
    persona: Persona,
    rows: Sequence[Row],
    device: torch.device,
) -> list[Measured]:
    """Measure an adapter in every precision of the configuration, that of training first.

    Args:
        adapter: folder with PEFT's two files, as they will be published.
        rows: held-out ones.

    Raises:
        ConfigError: in one of them the model computes what is no number.
    """
    tokenizer = base.tokenizer()
    examples = make_examples(tokenizer, persona, rows, args.max_tokens)
    others = [name for name in args.publishing.serves_in if name != args.precision]
    reference: list[Tensor] = []
    measured = []
    for precision in (args.precision, *others):
        frozen = base.model(precision, args.compute_dtype, device)
        model = PeftModel.from_pretrained(frozen, adapter)
        model.eval()
        if not reference:
            reference = [line_logits(model, example) for example in examples]
        differences = [
            (line_logits(model, example) - wanted).abs().max()
            for example, wanted in zip(examples, reference, strict=True)
        ]
        # NaN if any is; Python's max may drop it.
        difference = float(torch.stack(differences).max())
        if not math.isfinite(difference):
            raise ConfigError(f"in {precision} the adapter's logits are not finite")
        lines, share = write_lines(model, tokenizer, persona, examples, args.seed)
        measured.append(Measured(ServedPrecision(precision, difference, share), lines))
        del frozen, model  # the next one needs the memory
    return measured


@torch.inference_mode()
def line_logits(model: PeftModel, example: Example) -> Tensor:
    """Logits ``(token of the line, vocabulary)`` float32, on the CPU."""
    ids = torch.tensor([example.prompt_ids + example.line_ids], device=model.device)
    num_kept = len(example.line_ids) + 1
    logits: Tensor = model(input_ids=ids, logits_to_keep=num_kept).logits
    return logits[0, :-1].float().cpu()


@torch.inference_mode()
def write_lines(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    persona: Persona,
    examples: Sequence[Example],
    seed: int,
) -> tuple[list[str], float]:
    """The model's own answers to the prompts, and the share of them that are well-formed lines."""
    collate = Collator(int(tokenizer.pad_token_id))
    prompts = [Example(example.prompt_ids, []).to_item() for example in examples]
    batch = {name: tensor.to(model.device) for name, tensor in collate(prompts).items()}
    sampling = persona.sampling
    torch.manual_seed(seed)
    written = model.generate(  # type: ignore[no-untyped-call]
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        **_drawing(sampling),
        max_new_tokens=sampling.max_new_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    new_ids = written[:, batch["input_ids"].shape[1] :].tolist()
    lines, faults = [], []
    for ids in new_ids:
        ended = tokenizer.eos_token_id in ids
        text = str(tokenizer.decode(ids, skip_special_tokens=True))
        lines.append(text)
        faults.append(fault_of(persona, text, ended=ended))
    return lines, faults.count(None) / len(faults)


def _drawing(sampling: Sampling) -> dict[str, Any]:
    """Without a repetition penalty: transformers would count the prompt's tokens as well."""
    if sampling.temperature == 0:
        return {"do_sample": False}
    return {
        "do_sample": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": 0,
    }
