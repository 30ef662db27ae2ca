"""Cached decoding of guidance pairs: prefill a sequence, then a column of codes at a time.

Notable:
- a sequence is two rows: with its conditions and without; both get the same codes
- weights only; everything about a request is in the cache and in the arguments
- batched = alone: rows are padded to a multiple of ``row_bucket``, keys to whole blocks, and every
  other operation is row by row. In float32 on a CPU this makes a sequence's bits independent of
  its neighbours. In bfloat16 it does so among steps that fall in the same bucket.
- columns that are already known (``replay``) run as rows of one step, through the same operations
  as if they had been decoded one by one
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.decoding.layers import DecodingLayerNorm, DecodingLinear
from models.zonos.attention import CachedAttention, DecodeAttention, PrefillAttention
from models.zonos.codes import NUM_CODEBOOKS, NUM_EMBEDDINGS
from models.zonos.config import ZonosConfig
from models.zonos.kv_cache import ROWS_PER_PAIR, PairedKVCache
from models.zonos.network import TransformerLayer, Zonos, sum_embeddings, weight_of
from models.zonos.rotary import RotaryTable

# A pair fills the least that oneDNN's kernels need for equal bits (see DecodingLinear).
_FLOAT32_ROW_BUCKET = 2
# bfloat16 tiles have 16 rows; filling one costs little more than a pair, as reading the weights
# dominates.
_BFLOAT16_ROW_BUCKET = 16
_REPLAY_COLUMNS = 32


class GuidedDecoder:
    """The decoding form of a `Zonos`. It copies what it needs; the network can be freed.

    Args:
        network: the weights; the decoder runs on their device.
        dtype: bfloat16 (as published, and the fast path) or float32 (exact).
        row_bucket: a step's rows, two per sequence, are padded to a multiple of this many. Default:
            2 in float32, 16 in bfloat16. A server that wants the same codes at every load sets it
            to twice its largest batch.

    Raises:
        ValueError: another dtype, or an odd bucket.
    """

    def __init__(
        self,
        network: Zonos,
        dtype: torch.dtype = torch.float32,
        row_bucket: int | None = None,
    ) -> None:
        self.config: ZonosConfig = network.config
        self.dtype = dtype
        self.device = network.backbone.norm_f.weight.device
        self.row_bucket = _check_row_bucket(dtype, row_bucket)
        self.rotary = RotaryTable(self.config.backbone.head_dim, self.device)
        self.embeddings = [
            weight_of(embedding).detach().to(dtype) for embedding in network.embeddings
        ]
        self.layers = [
            _DecodingLayer(layer, dtype)
            for layer in network.backbone.layers
            if isinstance(layer, TransformerLayer)
        ]
        self.norm = DecodingLayerNorm(network.backbone.norm_f, dtype)
        self.heads = _stacked_heads(network, dtype)

    def new_cache(self, num_slots: int, capacity: int) -> PairedKVCache:
        """A cache of this decoder's dtype and device; ``capacity`` in positions per slot."""
        backbone = self.config.backbone
        return PairedKVCache(backbone, num_slots, capacity, self.dtype, self.device)

    @torch.inference_mode()
    def prefill(self, prefix: Tensor, columns: Tensor, cache: PairedKVCache, slot: int) -> Tensor:
        """Start a sequence in a slot: its prefix, and the columns that are known.

        A sequence is prefilled by itself, so nothing depends on what else is running.

        Args:
            prefix: (2, position, channel): conditional, unconditional.
            columns: (column, codebook) int64, one or more: codes after the delay pattern.
            cache: written in place.
            slot: whatever it held is dropped.

        Returns:
            (2, codebook, `NUM_LOGITS`) float32: logits of the next column.

        Raises:
            ValueError: shapes or codes out of range, a sequence longer than the cache, or a prefix
                that makes the network overflow.
        """
        self._check_prefix(prefix)
        _check_columns(columns)
        num_positions = prefix.shape[1] + len(columns)
        cache.start(slot, num_positions)
        audio = sum_embeddings(self.embeddings, columns.to(self.device))
        audio = audio.expand(ROWS_PER_PAIR, -1, -1)
        hidden = torch.cat((prefix.to(self.device, self.dtype), audio), dim=1).flatten(0, 1)
        attention = PrefillAttention(cache, self.rotary, slot, num_positions)
        hidden = self._run_layers(hidden, attention)
        logits = self._logits(hidden.unflatten(0, (ROWS_PER_PAIR, -1))[:, -1])
        # The last position sees all others, so one bad number anywhere shows here.
        if not logits.isfinite().all():
            cache.clear(slot)
            raise ValueError("prefix must be finite and moderate: the logits are not finite")
        return logits

    @torch.inference_mode()
    def decode(self, columns: Tensor, slots: Sequence[int], cache: PairedKVCache) -> Tensor:
        """Append one column to each of several sequences.

        Args:
            columns: (sequence, codebook) int64, each the last column of its sequence.
            slots: the sequences' slots. Ascending runs without gaps are the fastest. A slot that
                stands there several times gets those columns in that order.
            cache: written in place; every slot must have been prefilled.

        Returns:
            (sequence, 2, codebook, `NUM_LOGITS`) float32: logits of the column after.

        Raises:
            ValueError: a slot is empty or full, or the numbers of columns and slots differ; nothing
                has been written then.
        """
        if len(columns) != len(slots) or not slots:
            raise ValueError(f"{len(columns)} columns for {len(slots)} slots; need one each")
        positions = cache.advance(slots)
        embedded = sum_embeddings(self.embeddings, columns.to(self.device))
        hidden = embedded.repeat_interleave(ROWS_PER_PAIR, dim=0)
        num_padding = -len(hidden) % self.row_bucket
        attention = DecodeAttention(cache, self.rotary, slots, positions, num_padding)
        hidden = self._run_layers(F.pad(hidden, (0, 0, 0, num_padding)), attention)
        logits = self._logits(hidden)[: attention.num_rows]
        by_sequence: Tensor = logits.unflatten(0, (-1, ROWS_PER_PAIR))
        return by_sequence

    def replay(self, columns: Tensor, cache: PairedKVCache, slot: int) -> Tensor:
        """Append columns that were generated before, e.g. by a replica that died.

        Equal to decoding them one by one, at the cost of a few steps.

        Args:
            columns: (column, codebook) int64, one or more.

        Returns:
            (2, codebook, `NUM_LOGITS`) float32: logits of the column after the last one.
        """
        _check_columns(columns)
        # Any row count has the same bits in float32; elsewhere only that of an ordinary step.
        is_exact = self.dtype == torch.float32
        num_together = _REPLAY_COLUMNS if is_exact else self.row_bucket // ROWS_PER_PAIR
        for block in torch.split(columns, num_together):
            logits = self.decode(block, [slot] * len(block), cache)
        return logits[-1]

    def _run_layers(self, hidden: Tensor, attention: CachedAttention) -> Tensor:
        for layer_idx, layer in enumerate(self.layers):
            hidden = layer(layer_idx, hidden, attention)
        return hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        num_padding = -len(hidden) % self.row_bucket
        normed = self.norm(F.pad(hidden, (0, 0, 0, num_padding)))
        logits = self.heads(normed)[: len(hidden)].float()
        by_codebook: Tensor = logits.unflatten(1, (NUM_CODEBOOKS, -1))
        return by_codebook

    def _check_prefix(self, prefix: Tensor) -> None:
        channels = self.config.backbone.hidden_dim
        is_pair = prefix.dim() == 3 and prefix.shape[::2] == (ROWS_PER_PAIR, channels)
        if not is_pair or prefix.shape[1] == 0:
            expected = f"({ROWS_PER_PAIR}, position, {channels})"
            raise ValueError(f"prefix must be {expected}, not {tuple(prefix.shape)}")


class _DecodingLayer:
    """The weights of one transformer layer, laid out for few rows."""

    def __init__(self, layer: TransformerLayer, dtype: torch.dtype) -> None:
        attention = layer.mixer
        self.head_counts = (attention.num_heads, attention.num_kv_heads, attention.num_kv_heads)
        self.head_dim = attention.head_dim
        self.query_key_value = DecodingLinear(attention.in_proj, dtype)
        self.attention_out = DecodingLinear(attention.out_proj, dtype)
        self.feed_forward_in = DecodingLinear(layer.mlp.fc1, dtype)
        self.feed_forward_out = DecodingLinear(layer.mlp.fc2, dtype)
        self.attention_norm = DecodingLayerNorm(layer.norm, dtype)
        self.feed_forward_norm = DecodingLayerNorm(layer.norm2, dtype)

    def __call__(self, layer_idx: int, hidden: Tensor, attention: CachedAttention) -> Tensor:
        """(row, channel) -> (row, channel)."""
        projected = self.query_key_value(self.attention_norm(hidden))
        by_head = projected.unflatten(1, (-1, self.head_dim))
        attended = attention(layer_idx, *by_head.split(self.head_counts, dim=1))
        hidden = self.attention_out.plus(attended.flatten(1), hidden)
        value, gate = self.feed_forward_in(self.feed_forward_norm(hidden)).chunk(2, dim=1)
        return self.feed_forward_out.plus(value * F.silu(gate), hidden)


def _stacked_heads(network: Zonos, dtype: torch.dtype) -> DecodingLinear:
    """All heads as one product."""
    weight = torch.cat([weight_of(head).detach().to(dtype) for head in network.heads])
    with torch.device("meta"):
        stacked = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    stacked.weight = nn.Parameter(weight, requires_grad=False)
    return DecodingLinear(stacked, dtype)


def _check_row_bucket(dtype: torch.dtype, row_bucket: int | None) -> int:
    defaults = {torch.float32: _FLOAT32_ROW_BUCKET, torch.bfloat16: _BFLOAT16_ROW_BUCKET}
    if dtype not in defaults:
        raise ValueError(f"dtype must be float32 or bfloat16, not {dtype}")
    if row_bucket is None:
        return defaults[dtype]
    if row_bucket < ROWS_PER_PAIR or row_bucket % ROWS_PER_PAIR:
        raise ValueError(f"row_bucket must be an even number, 2 or more, not {row_bucket}")
    return row_bucket


def _check_columns(columns: Tensor) -> None:
    if columns.dtype != torch.int64 or columns.dim() != 2 or columns.shape[1] != NUM_CODEBOOKS:
        raise ValueError(
            f"columns must be (column, {NUM_CODEBOOKS}) int64, "
            f"not {tuple(columns.shape)} {columns.dtype}"
        )
    if len(columns) == 0:
        raise ValueError("columns is empty; the first column is all mask")
    if not (0 <= int(columns.min()) and int(columns.max()) < NUM_EMBEDDINGS):
        raise ValueError(
            f"codes must be in [0, {NUM_EMBEDDINGS}), "
            f"not {int(columns.min())} to {int(columns.max())}"
        )
