"""Starts lines: writes the prompt, finds what of it was read before, and hands out a sequence.

Used by one thread at a time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from deployments.engine.persona.choices import Choices
from deployments.engine.persona.guide import LineGuide
from deployments.engine.persona.protocol import LineRequest, PromptTooLong
from deployments.engine.persona.runner import Runner
from deployments.engine.persona.sampler import Sampler
from deployments.engine.persona.sequence import Sequence
from models.persona.line import LineCleaner
from models.persona.persona import Persona, Script
from models.persona.prompt import build_prompt, prompt_prefix
from models.persona.vocabulary import vocabulary_of


@dataclass(frozen=True)
class _Prefix:
    """What all prompts of a persona start with, and the cache after reading it."""

    token_ids: list[int]
    cache: DynamicCache


class LineWriter:
    """Starts a `Sequence` for every request.

    Args:
        max_prompt_tokens: bound on character sheet, examples, history and scene together.
        max_history_tokens: bound on the history alone; older turns are left out.
        max_line_s: after this time from its start, a line ends as if it were too long.
        max_prefixes: personas whose prefix is kept in memory; the least recently used goes first.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_prompt_tokens: int,
        max_history_tokens: int,
        max_line_s: float,
        max_prefixes: int,
    ) -> None:
        self._runner = Runner(model)
        self._tokenizer = tokenizer
        self._max_prompt_tokens = max_prompt_tokens
        self._max_history_tokens = max_history_tokens
        self._max_line_s = max_line_s
        self._max_prefixes = max_prefixes
        # Keyed by the text itself, so that an entry can never be out of date.
        self._prefixes: OrderedDict[str, _Prefix] = OrderedDict()
        self._choices: dict[Script, Choices] = {}

    def warm(self, persona: Persona) -> None:
        """Read the persona's prefix and prepare its script."""
        self._prefix(prompt_prefix(persona))
        self._choices_of(persona.script)

    def start(self, request: LineRequest, seed: int) -> Sequence:
        """Prepare to write the line of `request` with `seed`; nothing of it is read yet.

        Raises:
            PromptTooLong: sheet, examples and scene alone are more than the model may read.
            SceneError: there are more history turns than allowed.
        """
        persona = request.persona
        sampling = request.sampling or persona.sampling
        prompt = build_prompt(
            persona,
            request.scene,
            request.history,
            count_tokens=lambda text: len(self._encode(text)),
            max_history_tokens=self._max_history_tokens,
        )
        suffix_ids = self._encode(prompt.suffix)
        was_cached = prompt.prefix in self._prefixes
        prefix = self._prefix(prompt.prefix)
        num_prompt_tokens = len(prefix.token_ids) + len(suffix_ids)
        if num_prompt_tokens > self._max_prompt_tokens:
            raise PromptTooLong(
                f"the prompt has {num_prompt_tokens} tokens; "
                f"at most {self._max_prompt_tokens} are read"
            )
        choices = self._choices_of(persona.script)
        return Sequence(
            self._runner,
            self._tokenizer,
            cache=self._runner.copy(prefix.cache),
            prompt_ids=suffix_ids,
            num_cached_tokens=len(prefix.token_ids) if was_cached else 0,
            num_prompt_tokens=num_prompt_tokens,
            num_history_turns=prompt.num_history_turns,
            choices=choices,
            guide=LineGuide(
                choices,
                speech_level=persona.speech_level,
                sampling=sampling,
                prefix_ids=prefix.token_ids,
            ),
            sampler=Sampler(sampling, seed, len(choices.token_ids)),
            cleaner=LineCleaner(
                stop=persona.stop,
                speaker_names=persona.speaker_names,
                max_chars=sampling.max_line_chars,
            ),
            max_new_tokens=sampling.max_new_tokens,
            deadline_s=time.monotonic() + self._max_line_s,
        )

    def _prefix(self, text: str) -> _Prefix:
        if text not in self._prefixes:
            token_ids = [self._tokenizer.bos_token_id, *self._encode(text)]
            if len(token_ids) > self._max_prompt_tokens:
                raise PromptTooLong(
                    f"character sheet and examples have {len(token_ids)} tokens; "
                    f"at most {self._max_prompt_tokens} are read"
                )
            self._prefixes[text] = _Prefix(token_ids, self._runner.prefix(token_ids))
            if len(self._prefixes) > self._max_prefixes:
                self._prefixes.popitem(last=False)
        self._prefixes.move_to_end(text)
        return self._prefixes[text]

    def _choices_of(self, script: Script) -> Choices:
        if script not in self._choices:
            vocabulary = vocabulary_of(self._tokenizer, script)
            self._choices[script] = Choices(vocabulary, self._runner.head(vocabulary.token_ids))
        return self._choices[script]

    def _encode(self, text: str) -> list[int]:
        token_ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return token_ids
