"""Steers a small model to short, finished sentences of one speech level.

A base model of 270 million parameters wanders: it repeats its prompt, never ends a sentence, or
slips into narration. The guide changes the logits of one line before each draw:

- speech level: a sentence mark, or a comma, may not follow an ending of the other level; a plain
  line never draws a polite ending; the line may end only after a sentence mark;
- ending pressure: once a sentence is long, its endings gain with every further token, the idea of
  transformers' `ExponentialDecayLengthPenalty`;
- no repeats: a run of tokens of the character sheet, an example, an earlier line of the dialogue
  or the line itself is not drawn again; the scene's own words may be, for a line often takes them
  up;
- no recital: a line the adapter was trained on is not copied for more than so many characters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from deployments.engine.persona.choices import Choices
from models.persona.persona import Sampling
from models.persona.speech_level import (
    SpeechLevel,
    may_end_line,
    may_end_sentence,
    may_pause,
)
from models.persona.training_lines import TrainingLines

# Added to the logits of endings for every token that a sentence is too long.
_PRESSURE_PER_TOKEN = 0.3


class LineGuide:
    """Adjusts the logits of one line; follows the line by `observe`.

    Args:
        speech_level: None leaves the level to the model.
        known_ids: token ids of texts of which no run is repeated.
        training_lines: what the adapter was trained to say; None if that is not known.
    """

    def __init__(
        self,
        choices: Choices,
        *,
        speech_level: SpeechLevel | None,
        sampling: Sampling,
        known_ids: Sequence[Sequence[int]],
        training_lines: TrainingLines | None = None,
    ) -> None:
        self._choices = choices
        self._level = speech_level
        self._sentence_tokens = sampling.sentence_tokens
        self._context_size = sampling.no_repeat_tokens - 1
        self._training_lines = training_lines if sampling.max_copied_chars else None
        self._max_copied_chars = sampling.max_copied_chars
        self._num_sentence_tokens = 0
        self._line_ids: list[int] = []
        self._followers: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        if self._context_size > 0:
            for token_ids in known_ids:
                self._note_runs(token_ids)

    def observe(self, idx: int) -> None:
        """Take note of the choice that was drawn."""
        is_end = idx in self._choices.sentence_end_idxs
        self._num_sentence_tokens = 0 if is_end else self._num_sentence_tokens + 1
        token_id = self._choices.token_ids[idx]
        if context := self._context():
            self._followers[context].add(token_id)
        self._line_ids.append(token_id)

    def adjust(self, logits: Tensor, text: str) -> Tensor:
        """Return `logits` `(choice,)`, in float32, as they should be drawn from after `text`."""
        adjusted = logits.float().clone()
        self._press(adjusted)
        if self._level is not None:
            self._keep_level(adjusted, text, self._level)
        adjusted[self._repeats()] = -torch.inf
        for idxs in self._recitals(text):
            adjusted[idxs] = -torch.inf
        if not adjusted.isfinite().any():
            # Lines that leave no other choice; there would be nothing to draw from.
            adjusted[self._choices.line_ends] = 0.0
        return adjusted

    def _note_runs(self, token_ids: Sequence[int]) -> None:
        for end in range(self._context_size, len(token_ids)):
            context = tuple(token_ids[end - self._context_size : end])
            self._followers[context].add(token_ids[end])

    def _press(self, logits: Tensor) -> None:
        excess = self._num_sentence_tokens - self._sentence_tokens
        if excess > 0:
            logits[self._choices.sentence_ends] += _PRESSURE_PER_TOKEN * excess
            if self._level == "polite":
                logits[self._choices.polite_endings] += _PRESSURE_PER_TOKEN * excess

    def _keep_level(self, logits: Tensor, text: str, level: SpeechLevel) -> None:
        if level == "plain":
            logits[self._choices.polite_endings] = -torch.inf
        if not may_end_sentence(text, level):
            logits[self._choices.sentence_ends] = -torch.inf
        if not may_pause(text, level):
            logits[self._choices.pauses] = -torch.inf
        if not may_end_line(text):
            logits[self._choices.line_ends] = -torch.inf

    def _repeats(self) -> list[int]:
        """Choices that would repeat a run; ends are never repeats, so that a line can finish."""
        context = self._context()
        followers = self._followers.get(context, set()) if context else set()
        known = (
            self._choices.idx_of[token] for token in followers if token in self._choices.idx_of
        )
        return [idx for idx in known if idx not in self._choices.ending_idxs]

    def _recitals(self, text: str) -> list[Tensor]:
        """Choices that would copy too much of a training line; the end of the line never does."""
        if self._training_lines is None:
            return []
        completions = self._training_lines.completions(
            text, max_chars=self._max_copied_chars, beginnings=self._choices.beginnings
        )
        return [self._choices.starting_with(part) for part in completions]

    def _context(self) -> tuple[int, ...]:
        """The last tokens of the line that a run may continue; empty while there are too few."""
        if self._context_size < 1 or len(self._line_ids) < self._context_size:
            return ()
        return tuple(self._line_ids[-self._context_size :])
