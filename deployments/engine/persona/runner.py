"""Token ids in, logits out: the model, its caches, and nothing about text or requests."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel


class Runner:
    """Runs a decoder one sequence at a time and hands out the state of each.

    Args:
        model: a causal language model of transformers, in evaluation mode.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._decoder = model.get_decoder()
        self._head: Tensor = model.get_output_embeddings().weight

    def head(self, token_ids: Sequence[int]) -> Tensor:
        """Rows `(choice, channel)` of the output projection for the tokens that may be drawn.

        Gemma 3 270M has a vocabulary of 262,144, and its projection holds 63 % of the weights that
        a decoding step would read; a line in Hangul needs 4,762 of those rows.
        """
        return self._head.detach()[torch.tensor(token_ids)]

    @torch.inference_mode()
    def prefix(self, token_ids: Sequence[int]) -> DynamicCache:
        """Read tokens that start many sequences; `extend` copies of what is returned."""
        cache = DynamicCache(config=self._model.config)
        self._read(token_ids, cache)
        return cache

    @staticmethod
    def copy(cache: DynamicCache) -> DynamicCache:
        """A cache that can be extended while the original stays as it is."""
        return copy.deepcopy(cache)

    @torch.inference_mode()
    def extend(self, cache: DynamicCache, token_ids: Sequence[int], head: Tensor) -> Tensor:
        """Read `token_ids` after what `cache` holds; return the next token's logits `(choice,)`."""
        return head @ self._read(token_ids, cache)

    def _read(self, token_ids: Sequence[int], cache: DynamicCache) -> Tensor:
        batch = torch.tensor([token_ids])
        output = self._decoder(input_ids=batch, past_key_values=cache, use_cache=True)
        last: Tensor = output.last_hidden_state[0, -1]
        return last
