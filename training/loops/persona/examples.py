"""Rows as the token ids a model is trained on: exactly the prompt that serving writes, the line,
and the end token. Only the line and its end are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from models.persona.persona import Persona
from models.persona.prompt import build_prompt
from models.persona.scene import Scene
from training.loops.strict import ConfigError
from training.persona.rows import Row

IGNORED = -100


@dataclass(frozen=True)
class Example:
    """``prompt_ids`` are read, ``line_ids`` are learnt; the end token is the last of them."""

    prompt_ids: list[int]
    line_ids: list[int]

    @property
    def num_tokens(self) -> int:
        return len(self.prompt_ids) + len(self.line_ids)

    def to_item(self) -> dict[str, list[int]]:
        """As a data set of the trainer holds it."""
        return {
            "input_ids": self.prompt_ids + self.line_ids,
            "labels": [IGNORED] * len(self.prompt_ids) + self.line_ids,
        }


def prompt_ids(tokenizer: PreTrainedTokenizerBase, persona: Persona, scene: Scene) -> list[int]:
    """What serving's engines read for a scene without history."""
    prompt = build_prompt(persona, scene, (), count_tokens=len, max_history_tokens=0)
    # Apart, as the engines do it: what all requests share is read once.
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return start + encoded(tokenizer, prompt.prefix) + encoded(tokenizer, prompt.suffix)


def encoded(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a text alone."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def make_examples(
    tokenizer: PreTrainedTokenizerBase, persona: Persona, rows: Sequence[Row], max_tokens: int
) -> list[Example]:
    """An example of each row.

    Raises:
        ConfigError: a row is longer than ``max_tokens``.
    """
    examples = []
    for row in rows:
        line_ids = [*encoded(tokenizer, row.output), tokenizer.eos_token_id]
        example = Example(prompt_ids(tokenizer, persona, row.scene), line_ids)
        if example.num_tokens > max_tokens:
            raise ConfigError(
                f"a row has {example.num_tokens} tokens, max_tokens is {max_tokens}: {row.input}"
            )
        examples.append(example)
    return examples


@dataclass(frozen=True)
class Collator:
    """Pads on the left, so that the lines of a batch end together and few columns are learnt."""

    pad_id: int

    def __call__(self, items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """``(row, token)`` int64: input_ids, labels, attention_mask, position_ids."""
        width = max(len(item["input_ids"]) for item in items)

        def padded(name: str, filler: int) -> Tensor:
            return torch.tensor(
                [[filler] * (width - len(item[name])) + item[name] for item in items]
            )

        ones = [{"mask": [1] * len(item["input_ids"])} for item in items]
        mask = torch.tensor([[0] * (width - len(one["mask"])) + one["mask"] for one in ones])
        return {
            "input_ids": padded("input_ids", self.pad_id),
            "labels": padded("labels", IGNORED),
            "attention_mask": mask,
            "position_ids": (mask.cumsum(1) - 1).clamp(min=0),
        }
