"""Token ids in, logits out: the model, its caches, and nothing about text or requests."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from deployments.engine.persona.lora import AdaptedLayers, BoundAdapter
from deployments.engine.persona.rows import RowCaches, attend_by_rows


@dataclass(frozen=True)
class Row:
    """One sequence in a step: the token to read after what `cache` holds.

    Args:
        head: `(choice, channel)`, rows of the output projection for the tokens that may follow.
        adapter: what is added to the model for this sequence.
    """

    cache: DynamicCache
    token_id: int
    head: Tensor
    adapter: BoundAdapter | None


class Runner:
    """Runs a decoder on sequences that share nothing but its weights.

    Every step has `num_rows` rows, and attention and adapters are computed row by row: so a
    sequence has, bit for bit, the logits it has alone.

    Args:
        model: a causal language model of transformers, in evaluation mode; its attention is
            replaced by one that keeps rows apart.
        num_rows: sequences in a step at most.
    """

    def __init__(self, model: PreTrainedModel, num_rows: int) -> None:
        model.set_attn_implementation(attend_by_rows.__name__)
        self._model = model
        self._decoder = model.get_decoder()
        self._head: Tensor = model.get_output_embeddings().weight
        self._num_rows = num_rows
        self._layers = AdaptedLayers(model)

    @property
    def layers(self) -> AdaptedLayers:
        """The layers an adapter may add to."""
        return self._layers

    def head(self, token_ids: Sequence[int]) -> Tensor:
        """Rows `(choice, channel)` of the output projection for the tokens that may be drawn.

        Gemma 3 270M has a vocabulary of 262,144, and its projection holds 63 % of the weights that
        a decoding step would read; a line in Hangul needs 4,762 of those rows.
        """
        return self._head.detach()[torch.tensor(token_ids)]

    @torch.inference_mode()
    def read(
        self,
        token_ids: Sequence[int],
        adapter: BoundAdapter | None,
        after: DynamicCache | None = None,
    ) -> DynamicCache:
        """A cache that holds `token_ids` after what `after` holds, which stays as it is."""
        # The sliding window is part of a cache, so an empty one is made for this model.
        cache = DynamicCache(config=self._model.config) if after is None else copy.deepcopy(after)
        if token_ids:
            self._run(torch.tensor([token_ids]), [cache], [adapter])
        return cache

    @torch.inference_mode()
    def step(self, rows: Sequence[Row]) -> list[Tensor]:
        """Read one token of each row into its cache; the next tokens' logits `(choice,)`."""
        num_empty = self._num_rows - len(rows)
        token_ids = [row.token_id for row in rows] + [0] * num_empty
        hidden = self._run(
            torch.tensor(token_ids)[:, None],
            [row.cache for row in rows],
            [row.adapter for row in rows],
        )
        return [row.head @ hidden[idx, -1] for idx, row in enumerate(rows)]

    def _run(
        self,
        token_ids: Tensor,
        caches: Sequence[DynamicCache],
        adapters: Sequence[BoundAdapter | None],
    ) -> Tensor:
        """Read `token_ids` `(row, time)`; hidden states `(row, time, channel)`."""
        cache = RowCaches(caches)
        with self._layers.using(adapters):
            output = self._decoder(
                input_ids=token_ids,
                position_ids=cache.positions(*token_ids.shape),
                past_key_values=cache,
                use_cache=True,
            )
        hidden: Tensor = output.last_hidden_state
        return hidden
