"""Starts lines: writes the prompt, finds what of it was read before, and reads the rest.

For one thread.
"""

from __future__ import annotations

import time
from collections import OrderedDict

from transformers import DynamicCache, PreTrainedTokenizerBase

from deployments.engine.persona.choices import Choices
from deployments.engine.persona.guide import LineGuide
from deployments.engine.persona.lora import BoundAdapter
from deployments.engine.persona.prompt_ids import PromptEncoder
from deployments.engine.persona.protocol import LineRequest
from deployments.engine.persona.runner import Runner
from deployments.engine.persona.sampler import Sampler
from deployments.engine.persona.sequence import Sequence
from models.persona.line import LineCleaner
from models.persona.persona import Persona, Script
from models.persona.prompt import prompt_prefix
from models.persona.vocabulary import vocabulary_of


class LineWriter:
    """Starts a `Sequence` for every request.

    Args:
        prompts: writes prompts.
        max_line_s: after this time from its start, a line ends as if it were too long.
        max_prefixes: personas whose prefix is kept in memory; the least recently used goes first.
    """

    def __init__(
        self,
        runner: Runner,
        tokenizer: PreTrainedTokenizerBase,
        prompts: PromptEncoder,
        *,
        max_line_s: float,
        max_prefixes: int,
    ) -> None:
        self._runner = runner
        self._tokenizer = tokenizer
        self._prompts = prompts
        self._max_line_s = max_line_s
        self._max_prefixes = max_prefixes
        # By the text itself and the adapter that read it, which never changes under its name.
        self._prefixes: OrderedDict[tuple[str, str | None], DynamicCache] = OrderedDict()
        self._choices: dict[Script, Choices] = {}

    def warm(self, persona: Persona, adapter: BoundAdapter | None) -> None:
        """Read the persona's prefix and prepare its script."""
        self._prefix(prompt_prefix(persona), self._prompts.prefix_ids(persona), adapter)
        self._choices_of(persona.script)

    def start(self, request: LineRequest, seed: int, adapter: BoundAdapter | None) -> Sequence:
        """Read the prompt of `request`, all but its last token, to write its line with `seed`.

        Raises:
            PromptTooLong, SceneError: see `PromptEncoder.encode`.
        """
        persona = request.persona
        sampling = request.sampling or persona.sampling
        prompt = self._prompts.encode(request)
        was_cached = _key(prompt.prefix, adapter) in self._prefixes
        prefix = self._prefix(prompt.prefix, prompt.prefix_ids, adapter)
        choices = self._choices_of(persona.script)
        return Sequence(
            self._tokenizer,
            cache=self._runner.read(prompt.suffix_ids[:-1], adapter, after=prefix),
            adapter=adapter,
            last_prompt_id=prompt.suffix_ids[-1],
            num_cached_tokens=len(prompt.prefix_ids) if was_cached else 0,
            num_prompt_tokens=len(prompt.prefix_ids) + len(prompt.suffix_ids),
            num_history_turns=prompt.num_history_turns,
            choices=choices,
            guide=LineGuide(
                choices,
                speech_level=persona.speech_level,
                sampling=sampling,
                known_ids=[prompt.prefix_ids, *prompt.said_ids],
                training_lines=None if adapter is None else adapter.lines,
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

    def _prefix(
        self, text: str, token_ids: list[int], adapter: BoundAdapter | None
    ) -> DynamicCache:
        key = _key(text, adapter)
        if key not in self._prefixes:
            self._prefixes[key] = self._runner.read(token_ids, adapter)
            if len(self._prefixes) > self._max_prefixes:
                self._prefixes.popitem(last=False)
        self._prefixes.move_to_end(key)
        return self._prefixes[key]

    def _choices_of(self, script: Script) -> Choices:
        if script not in self._choices:
            vocabulary = vocabulary_of(self._tokenizer, script)
            self._choices[script] = Choices(vocabulary, self._runner.head(vocabulary.token_ids))
        return self._choices[script]


def _key(text: str, adapter: BoundAdapter | None) -> tuple[str, str | None]:
    return text, None if adapter is None else adapter.ref
