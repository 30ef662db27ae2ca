"""Cached decoding with S1: prefill a sequence, then one token at a time for any mix of sequences.

Notable:
- weights only; everything about a request is in the cache and in the arguments
- the rows of a step are independent: different lengths and ages, no padding between texts
- batched = alone: rows are padded to a multiple of ``row_bucket``, keys to whole blocks, and every
  other operation is row by row. In float32 on a CPU this makes a row's bits independent of its
  neighbours. In bfloat16 it does so among steps that fall in the same bucket.
- tokens that are already known (``replay``) run as rows of one step, through the same operations
  as if they had been decoded one by one
"""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from models.decoding.key_runs import consecutive_runs
from models.decoding.layers import DecodingLayerNorm, DecodingLinear
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.kv_cache import KVCache
from models.gpt_sovits.s1.network import (
    Text2Semantic,
    TransformerLayer,
    sinusoidal_positions,
    text_audio_mask,
)

# One row takes another CPU kernel than two or more (see DecodingLinear): a step has at least two.
_FLOAT32_ROW_BUCKET = 2
# bfloat16 tiles have 16 rows; filling one costs little more than a single row, as reading the
# weights dominates.
_BFLOAT16_ROW_BUCKET = 16
_REPLAY_ROWS = 64


class Attention(Protocol):
    """How new rows meet the keys and values of one layer.

    Takes queries, keys and values as one (row, 3, head, head channel); gives (row, head, channel).
    """

    def __call__(self, layer_idx: int, projected: Tensor) -> Tensor: ...


class DecodingLayer:
    """The weights of one transformer layer, laid out for few rows."""

    def __init__(self, layer: TransformerLayer, dtype: torch.dtype) -> None:
        self.num_heads = layer.num_heads
        self.query_key_value = DecodingLinear(layer.query_key_value, dtype)
        self.attention_out = DecodingLinear(layer.attention_out, dtype)
        self.feed_forward_in = DecodingLinear(layer.feed_forward_in, dtype, has_relu=True)
        self.feed_forward_out = DecodingLinear(layer.feed_forward_out, dtype)
        self.attention_norm = DecodingLayerNorm(layer.attention_norm, dtype)
        self.feed_forward_norm = DecodingLayerNorm(layer.feed_forward_norm, dtype)

    def __call__(self, layer_idx: int, hidden: Tensor, attention: Attention) -> Tensor:
        """(row, channel) -> (row, channel)."""
        num_rows = len(hidden)
        projected = self.query_key_value(hidden).view(num_rows, 3, self.num_heads, -1)
        attended = attention(layer_idx, projected).reshape(num_rows, -1)
        hidden = self.attention_norm(self.attention_out.plus(attended, hidden))
        inner = self.feed_forward_in(hidden)
        return self.feed_forward_norm(self.feed_forward_out.plus(inner, hidden))


class S1Decoder:
    """The decoding form of a ``Text2Semantic``. It copies what it needs; the network can be freed.

    Args:
        network: the weights; the decoder runs on their device.
        dtype: float32 (exact) or bfloat16 (half the memory traffic; the fast path).
        row_bucket: a step's rows are padded to a multiple of this many. Default: 2 in float32, 16
            in bfloat16. Tokens are reproducible among steps of one bucket, so a server that wants
            the same tokens at every load sets it to its largest batch.

    Raises:
        ValueError: another dtype, or a bucket below 1 (below 2 in float32).
    """

    def __init__(
        self,
        network: Text2Semantic,
        dtype: torch.dtype = torch.float32,
        row_bucket: int | None = None,
    ) -> None:
        self.config: S1Config = network.config
        self.dtype = dtype
        self.device = network.output.weight.device
        self.row_bucket = _check_row_bucket(dtype, row_bucket)
        self.phoneme_embedding = network.phoneme_embedding.weight.detach().to(dtype)
        self.token_embedding = network.token_embedding.weight.detach().to(dtype)
        self.text_position_scale = network.text_position_scale.detach().to(torch.float32)
        self.audio_position_scale = network.audio_position_scale.detach().to(torch.float32)
        self.bert_projection = DecodingLinear(network.bert_projection, dtype)
        self.layers = [
            DecodingLayer(layer, dtype)
            for layer in network.layers
            if isinstance(layer, TransformerLayer)
        ]
        self.output = DecodingLinear(network.output, dtype)

    def new_cache(self, num_slots: int, capacity: int) -> KVCache:
        """A cache of this decoder's dtype and device; ``capacity`` in positions per slot."""
        return KVCache(self.config, num_slots, capacity, self.dtype, self.device)

    @torch.inference_mode()
    def prefill(
        self,
        phoneme_ids: Tensor,
        bert_features: Tensor,
        prompt_tokens: Tensor,
        cache: KVCache,
        slot: int,
    ) -> Tensor:
        """Start a sequence in a slot: prompt phonemes ++ target phonemes, and the prompt's tokens.

        A sequence is prefilled by itself, so nothing depends on what else is running.

        Args:
            phoneme_ids: (phoneme,) int64, one or more.
            bert_features: (phoneme, bert channel); zeros for languages without BERT.
            prompt_tokens: (token,) int64; may be empty.
            cache: written in place.
            slot: the row of the cache; whatever it held is dropped.

        Returns:
            (vocab,) float32: logits of the first new token.

        Raises:
            ValueError: no phonemes, shapes that disagree, an id out of range, a sequence longer
                than the cache, or features that are not finite or too large for the network.
        """
        self._check_prompt(phoneme_ids, bert_features, prompt_tokens)
        num_phonemes, num_tokens = len(phoneme_ids), len(prompt_tokens)
        cache.start(slot, num_phonemes, num_tokens)
        text = F.embedding(phoneme_ids.to(self.device), self.phoneme_embedding)
        text = text + self.bert_projection(bert_features.to(self.device, self.dtype))
        columns = torch.arange(max(num_phonemes, num_tokens), device=self.device)
        text = self._add_positions(text, columns[:num_phonemes], self.text_position_scale)
        audio = F.embedding(prompt_tokens.to(self.device), self.token_embedding)
        audio = self._add_positions(audio, columns[:num_tokens], self.audio_position_scale)
        attention = _PrefillAttention(cache, slot, num_phonemes, num_tokens)
        hidden = self._run_layers(torch.cat((text, audio)), attention)
        logits = self._logits(hidden[-1:])[0]
        # The last position sees all others, so one bad number anywhere shows here.
        if not logits.isfinite().all():
            cache.clear(slot)
            raise ValueError("bert_features must be finite and moderate: the logits are not finite")
        return logits

    @torch.inference_mode()
    def decode(self, tokens: Tensor, slots: Sequence[int], cache: KVCache) -> Tensor:
        """Append one token to each of several sequences.

        Args:
            tokens: (row,) int64, each the last token of its sequence.
            slots: the sequences' slots, one per row. Ascending runs without gaps are the fastest.
                A slot that stands in several rows gets their tokens in that order.
            cache: written in place; every slot must have been prefilled.

        Returns:
            (row, vocab) float32: logits of the token after.

        Raises:
            ValueError: a slot is empty or full, or the numbers of tokens and slots differ; nothing
                has been written then.
        """
        if len(tokens) != len(slots) or not slots:
            raise ValueError(f"{len(tokens)} tokens for {len(slots)} slots; need one each")
        positions = cache.advance(slots)
        audio_positions = torch.tensor(
            [
                position - cache.text_lengths[slot]
                for slot, position in zip(slots, positions, strict=True)
            ],
            device=self.device,
        )
        num_padding = -len(slots) % self.row_bucket
        attention = _DecodeAttention(cache, slots, positions, num_padding)
        return self.advance(tokens.to(self.device), audio_positions, attention)

    def advance(self, tokens: Tensor, audio_positions: Tensor, attention: Attention) -> Tensor:
        """One token a row through all layers; ``decode`` without its bookkeeping.

        Args:
            tokens: (row,) int64 on the decoder's device.
            audio_positions: (row,) int64, each token's place among the audio tokens.
            attention: writes the cache and reads it, for the rows padded to the row bucket.

        Returns:
            (row, vocab) float32.
        """
        hidden = F.embedding(tokens, self.token_embedding)
        hidden = self._add_positions(hidden, audio_positions, self.audio_position_scale)
        num_padding = -len(tokens) % self.row_bucket
        hidden = self._run_layers(F.pad(hidden, (0, 0, 0, num_padding)), attention)
        return self._logits(hidden)[: len(tokens)]

    def replay(self, tokens: Tensor, cache: KVCache, slot: int) -> Tensor:
        """Append tokens that were generated before, e.g. by a replica that died.

        Equal to decoding them one by one, at the cost of a few steps.

        Args:
            tokens: (token,) int64, one or more.

        Returns:
            (vocab,) float32: logits of the token after the last one.
        """
        if len(tokens) == 0:
            raise ValueError("nothing to replay: tokens is empty")
        _check_ids("tokens", tokens, self.config.num_semantic_tokens)
        # Any row count has the same bits in float32; elsewhere only that of an ordinary step.
        rows = _REPLAY_ROWS if self.dtype == torch.float32 else self.row_bucket
        for block in torch.split(tokens, rows):
            logits = self.decode(block, [slot] * len(block), cache)
        return logits[-1]

    def _run_layers(self, hidden: Tensor, attention: Attention) -> Tensor:
        for layer_idx, layer in enumerate(self.layers):
            hidden = layer(layer_idx, hidden, attention)
        return hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        num_padding = -len(hidden) % self.row_bucket
        padded = F.pad(hidden, (0, 0, 0, num_padding))
        return self.output(padded)[: len(hidden)].float()

    def _add_positions(self, embedded: Tensor, positions: Tensor, scale: Tensor) -> Tensor:
        table = sinusoidal_positions(positions, embedded.shape[-1])
        return (embedded.float() + scale * table).to(self.dtype)

    def _check_prompt(
        self, phoneme_ids: Tensor, bert_features: Tensor, prompt_tokens: Tensor
    ) -> None:
        if phoneme_ids.dim() != 1 or len(phoneme_ids) == 0:
            raise ValueError(f"phoneme_ids must be (phoneme,), not {tuple(phoneme_ids.shape)}")
        expected = (len(phoneme_ids), self.config.bert_dim)
        if tuple(bert_features.shape) != expected:
            raise ValueError(
                f"bert_features must be {expected} for these phonemes, "
                f"not {tuple(bert_features.shape)}"
            )
        _check_ids("phoneme_ids", phoneme_ids, self.config.num_phonemes)
        _check_ids("prompt_tokens", prompt_tokens, self.config.num_semantic_tokens)


class _PrefillAttention:
    """All positions of one new sequence among themselves; fills its slot."""

    def __init__(self, cache: KVCache, slot: int, num_phonemes: int, num_tokens: int) -> None:
        self.cache = cache
        self.slot = slot
        self.is_visible = text_audio_mask(num_phonemes, num_tokens, cache.entries.device)

    def __call__(self, layer_idx: int, projected: Tensor) -> Tensor:
        by_head = projected.permute(1, 2, 0, 3)  # (3, head, row, head channel)
        self.cache.entries[layer_idx, :, self.slot, :, : len(projected)] = by_head[1:]
        query, key, value = by_head.unsqueeze(1)
        attended = F.scaled_dot_product_attention(query, key, value, self.is_visible)
        return attended[0].transpose(0, 1)


class _DecodeAttention:
    """Every row against its own slot up to its own position."""

    def __init__(
        self, cache: KVCache, slots: Sequence[int], positions: Sequence[int], num_padding: int
    ) -> None:
        self.cache = cache
        self.num_rows = len(slots)
        self.num_padding = num_padding
        device = cache.entries.device
        self.slot_idx = torch.tensor(slots, device=device)
        self.position_idx = torch.tensor(positions, device=device)
        self.runs = consecutive_runs(slots, positions, self.position_idx, cache.entries.dtype)

    def __call__(self, layer_idx: int, projected: Tensor) -> Tensor:
        query, new_entries = projected[:, 0], projected[: self.num_rows, 1:]
        entries = self.cache.entries[layer_idx]
        entries[:, self.slot_idx, :, self.position_idx] = new_entries
        keys, values = entries
        attended = [
            F.scaled_dot_product_attention(
                query[run.rows].unsqueeze(2),
                keys[run.cache_rows, :, : run.num_keys],
                values[run.cache_rows, :, : run.num_keys],
                run.mask,
            ).squeeze(2)
            for run in self.runs
        ]
        if self.num_padding:
            attended.append(torch.zeros_like(query[self.num_rows :]))
        return torch.cat(attended)


def _check_row_bucket(dtype: torch.dtype, row_bucket: int | None) -> int:
    smallest = {torch.float32: _FLOAT32_ROW_BUCKET, torch.bfloat16: 1}
    if dtype not in smallest:
        raise ValueError(f"dtype must be float32 or bfloat16, not {dtype}")
    if row_bucket is None:
        return _FLOAT32_ROW_BUCKET if dtype == torch.float32 else _BFLOAT16_ROW_BUCKET
    if row_bucket < smallest[dtype]:
        raise ValueError(f"row_bucket must be {smallest[dtype]} or more in {dtype}: {row_bucket}")
    return row_bucket


def _check_ids(name: str, ids: Tensor, num_ids: int) -> None:
    if ids.dim() != 1 or ids.dtype != torch.int64:
        raise ValueError(f"{name} must be one-dimensional int64, not {ids.dtype} {ids.shape}")
    if len(ids) and not (0 <= int(ids.min()) and int(ids.max()) < num_ids):
        raise ValueError(
            f"{name} must be in [0, {num_ids}), not {int(ids.min())} to {int(ids.max())}"
        )
