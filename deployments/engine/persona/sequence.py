"""The state of one line while it is written."""

from __future__ import annotations

import time

from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase

from deployments.engine.persona.choices import Choices
from deployments.engine.persona.guide import LineGuide
from deployments.engine.persona.lora import BoundAdapter
from deployments.engine.persona.runner import Row
from deployments.engine.persona.sampler import Sampler
from models.persona.line import FinishReason, LineCleaner


class Sequence:
    """One line: its cache, its sampler, and the text it has become so far.

    Args:
        cache: what the model has read of the prompt: all but its last token.
        last_prompt_id: that token.
        max_new_tokens: bound on the drawn tokens.
        deadline_s: reading of `time.monotonic` after which the line is ended.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        cache: DynamicCache,
        adapter: BoundAdapter | None,
        last_prompt_id: int,
        num_cached_tokens: int,
        num_prompt_tokens: int,
        num_history_turns: int,
        choices: Choices,
        guide: LineGuide,
        sampler: Sampler,
        cleaner: LineCleaner,
        max_new_tokens: int,
        deadline_s: float,
    ) -> None:
        self._tokenizer = tokenizer
        self._cache = cache
        self._adapter = adapter
        self._unread_id = last_prompt_id
        self.num_cached_tokens = num_cached_tokens
        self.num_prompt_tokens = num_prompt_tokens
        self.num_history_turns = num_history_turns
        self._choices = choices
        self._guide = guide
        self._sampler = sampler
        self.cleaner = cleaner
        self._max_new_tokens = max_new_tokens
        self._deadline_s = deadline_s
        self._new_ids: list[int] = []
        self._text = ""
        self.is_over = False

    @property
    def num_new_tokens(self) -> int:
        """Tokens drawn so far, the end token included."""
        return len(self._new_ids)

    @property
    def row(self) -> Row:
        """What the next step has to compute."""
        return Row(self._cache, self._unread_id, self._choices.head, self._adapter)

    def take(self, logits: Tensor) -> str:
        """Draw a token from `logits` `(choice,)`; return the text that became certain by it."""
        choice_idx = self._sampler.draw(self._guide.adjust(logits, self._text))
        self._guide.observe(choice_idx)
        token_id = self._choices.token_ids[choice_idx]
        self._new_ids.append(token_id)
        self._unread_id = token_id
        if token_id == self._tokenizer.eos_token_id:
            return self._end("stop")
        released = self.cleaner.feed(self._new_text())
        if self.cleaner.finish_reason is not None:
            return released + self._end(self.cleaner.finish_reason)
        if self.num_new_tokens >= self._max_new_tokens:
            return released + self._end("length")
        if time.monotonic() > self._deadline_s:
            return released + self._end("time")
        return released

    def _end(self, reason: FinishReason) -> str:
        self.is_over = True
        return self.cleaner.finish(reason)

    def _new_text(self) -> str:
        """Text of the tokens not turned into text yet; waits for the rest of a split character."""
        text = str(self._tokenizer.decode(self._new_ids, skip_special_tokens=True))
        if text.endswith("\N{REPLACEMENT CHARACTER}"):
            return ""
        new = text[len(self._text) :]
        self._text = text
        return new
