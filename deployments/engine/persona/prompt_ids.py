"""A request's prompt as token ids, within the bounds of what an engine reads."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from deployments.engine.persona.protocol import LineRequest, PromptTooLong
from models.persona.persona import Persona
from models.persona.prompt import build_prompt, prompt_prefix


@dataclass(frozen=True)
class PromptIds:
    """`prefix_ids` depend on the persona alone and begin with the token that begins every text.

    `said_ids` are the character's earlier lines, one by one, those included that are left out of
    the prompt.
    """

    prefix: str
    prefix_ids: list[int]
    suffix_ids: list[int]
    said_ids: list[list[int]]
    num_history_turns: int


class PromptEncoder:
    """Writes prompts and tokenizes them.

    Args:
        max_prompt_tokens: bound on character sheet, examples, history and scene together.
        max_history_tokens: bound on the history alone; older turns are left out.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_prompt_tokens: int,
        max_history_tokens: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._max_prompt_tokens = max_prompt_tokens
        self._max_history_tokens = max_history_tokens

    def prefix_ids(self, persona: Persona) -> list[int]:
        """Tokens of character sheet and examples.

        Raises:
            PromptTooLong: they alone are more than the model may read.
        """
        token_ids = [self._tokenizer.bos_token_id, *self._encode(prompt_prefix(persona))]
        self._require_room(len(token_ids), "character sheet and examples have")
        return token_ids

    def encode(self, request: LineRequest) -> PromptIds:
        """Tokens of the whole prompt.

        Raises:
            PromptTooLong: sheet, examples and scene alone are more than the model may read.
            SceneError: there are more history turns than allowed.
        """
        prompt = build_prompt(
            request.persona,
            request.scene,
            request.history,
            count_tokens=lambda text: len(self._encode(text)),
            max_history_tokens=self._max_history_tokens,
        )
        prefix_ids = self.prefix_ids(request.persona)
        suffix_ids = self._encode(prompt.suffix)
        self._require_room(len(prefix_ids) + len(suffix_ids), "the prompt has")
        said_ids = [self._encode(turn.text) for turn in request.history if turn.role == "character"]
        return PromptIds(prompt.prefix, prefix_ids, suffix_ids, said_ids, prompt.num_history_turns)

    def _require_room(self, num_tokens: int, what: str) -> None:
        if num_tokens > self._max_prompt_tokens:
            raise PromptTooLong(
                f"{what} {num_tokens} tokens; at most {self._max_prompt_tokens} are read"
            )

    def _encode(self, text: str) -> list[int]:
        token_ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return token_ids
