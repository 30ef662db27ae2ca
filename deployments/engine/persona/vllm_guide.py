"""The guide of a line inside of vLLM: the same choices and the same rules as without it.

vLLM imports this module in the process that samples, and makes one `LineLogits` there. What it has
to know of a line travels in the sampling parameters (`guide_args`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from deployments.engine.persona.choices import Choices
from deployments.engine.persona.guide import LineGuide
from deployments.engine.persona.prompt_ids import PromptIds
from deployments.engine.persona.sampler import penalize
from models.persona.persona import Persona, Sampling, Script
from models.persona.speech_level import SpeechLevel
from models.persona.training_lines import TrainingLines
from models.persona.vocabulary import vocabulary_of

_KEY = "baewoo_line"

Guide = Callable[[list[int], list[int], Tensor], Tensor]


def no_number_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends a line for which no number is computed; no other line draws it.

    vLLM draws from such logits as well, whatever comes, and a raised error would end its process.
    """
    return int(tokenizer.bos_token_id)


def guide_args(
    persona: Persona, sampling: Sampling, prompt: PromptIds, lines: Path | None
) -> dict[str, Any]:
    """`SamplingParams.extra_args` of a line; plain values, for they are sent as JSON is.

    Args:
        lines: file of what the persona's adapter was trained to say, which stays as it is.
    """
    return {
        _KEY: {
            "script": persona.script,
            "speech_level": persona.speech_level,
            "sampling": asdict(sampling),
            "num_prefix_tokens": len(prompt.prefix_ids),
            "said_ids": prompt.said_ids,
            "lines": None if lines is None else str(lines),
        }
    }


class LineLogits(AdapterLogitsProcessor):  # type: ignore[misc]  # vLLM need not be installed
    """Adjusts the logits of every line that carries `guide_args`."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        super().__init__(vllm_config, device, is_pin_memory)
        self._tokenizer = AutoTokenizer.from_pretrained(
            vllm_config.model_config.tokenizer, local_files_only=True
        )
        self._choices: dict[Script, Choices] = {}

    def is_argmax_invariant(self) -> bool:
        """The likeliest token may be one that the guide forbids."""
        return False

    def new_req_logits_processor(self, params: SamplingParams) -> Guide | None:
        """The guide of one request; None for one that is no line."""
        args = (params.extra_args or {}).get(_KEY)
        if args is None:
            return None
        return _guide(
            self._tokenizer,
            self._choices_of(args["script"]),
            args["speech_level"],
            Sampling(**args["sampling"]),
            args["num_prefix_tokens"],
            args["said_ids"],
            None if args["lines"] is None else _training_lines(args["lines"]),
        )

    def _choices_of(self, script: Script) -> Choices:
        if script not in self._choices:
            vocabulary = vocabulary_of(self._tokenizer, script)
            # vLLM has computed the logits already: no projection is needed.
            self._choices[script] = Choices(vocabulary, torch.empty(0))
        return self._choices[script]


@lru_cache(maxsize=32)
def _training_lines(path: str) -> TrainingLines:
    return TrainingLines(Path(path).read_bytes().decode())


def _guide(
    tokenizer: PreTrainedTokenizerBase,
    choices: Choices,
    speech_level: SpeechLevel | None,
    sampling: Sampling,
    num_prefix_tokens: int,
    said_ids: list[list[int]],
    training_lines: TrainingLines | None,
) -> Guide:
    token_ids = torch.tensor(choices.token_ids)
    was_drawn = torch.zeros(len(choices.token_ids), dtype=torch.bool)
    num_observed = 0
    guide: LineGuide | None = None

    def adjust(prompt_ids: list[int], output_ids: list[int], logits: Tensor) -> Tensor:
        nonlocal guide, num_observed
        if guide is None:
            guide = LineGuide(
                choices,
                speech_level=speech_level,
                sampling=sampling,
                known_ids=[prompt_ids[:num_prefix_tokens], *said_ids],
                training_lines=training_lines,
            )
        for token_id in output_ids[num_observed:]:
            guide.observe(choices.idx_of[token_id])
            was_drawn[choices.idx_of[token_id]] = True
        num_observed = len(output_ids)
        text = str(tokenizer.decode(output_ids, skip_special_tokens=True))
        given = logits[token_ids]
        adjusted = guide.adjust(given, text.rstrip("\N{REPLACEMENT CHARACTER}"))
        adjusted = penalize(adjusted, was_drawn, sampling.repetition_penalty)
        only_choices = torch.full_like(logits, -torch.inf)
        if given.isfinite().all() and adjusted.isfinite().any():
            only_choices[token_ids] = adjusted.to(logits.dtype)
        else:
            only_choices[no_number_id(tokenizer)] = 0.0
        return only_choices

    return adjust
