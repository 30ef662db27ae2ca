"""The network: a prefix of conditions, nine embedded code streams, a transformer, nine heads.

Notable:
- modules are named as in the published file, so it loads without a table of renames
- pre-norm with LayerNorm, a gated MLP whose gate is the second half, grouped-query attention,
  rotary positions that prefix and audio share
- weights only. Serving decodes with `guided_decoder`; `Zonos.forward` is the same network over a
  whole sequence at once
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.zonos.codes import NUM_CODEBOOKS, NUM_EMBEDDINGS, NUM_LOGITS
from models.zonos.conditioners import PrefixConditioner
from models.zonos.config import BackboneConfig, ZonosConfig
from models.zonos.rotary import RotaryTable


class Attention(nn.Module):
    """Causal self-attention in which several query heads share a key head."""

    def __init__(self, hidden_dim: int, num_heads: int, num_kv_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.head_dim = hidden_dim // num_heads
        projected_dim = (num_heads + 2 * num_kv_heads) * self.head_dim
        self.in_proj = nn.Linear(hidden_dim, projected_dim, bias=False)
        self.out_proj = nn.Linear(hidden_dim, hidden_dim, bias=False)

    def forward(self, hidden: Tensor, rotary: RotaryTable) -> Tensor:
        """(batch, time, channel) -> the same."""
        by_head = self.in_proj(hidden).unflatten(-1, (-1, self.head_dim))
        query, key, value = by_head.split([self.num_heads, *2 * [self.num_kv_heads]], dim=2)
        positions = torch.arange(hidden.shape[1], device=hidden.device)
        query, key = rotary.turn(query, positions), rotary.turn(key, positions)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        attended = F.scaled_dot_product_attention(
            query, key, value, is_causal=True, enable_gqa=True
        )
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out


class GatedMLP(nn.Module):
    """`fc1` makes values and gates, in this order."""

    def __init__(self, hidden_dim: int, inner_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden_dim, 2 * inner_dim, bias=False)
        self.fc2 = nn.Linear(inner_dim, hidden_dim, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., channel) -> the same."""
        value, gate = self.fc1(hidden).chunk(2, dim=-1)
        out: Tensor = self.fc2(value * F.silu(gate))
        return out


class TransformerLayer(nn.Module):
    """`x + attention(norm(x))`, then `x + mlp(norm2(x))`."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_dim, config.norm_eps)
        self.mixer = Attention(config.hidden_dim, config.num_heads, config.num_kv_heads)
        self.norm2 = nn.LayerNorm(config.hidden_dim, config.norm_eps)
        self.mlp = GatedMLP(config.hidden_dim, config.feed_forward_dim)

    def forward(self, hidden: Tensor, rotary: RotaryTable) -> Tensor:
        """(batch, time, channel) -> the same."""
        hidden = hidden + self.mixer(self.norm(hidden), rotary)
        out: Tensor = hidden + self.mlp(self.norm2(hidden))
        return out


class Backbone(nn.Module):
    """The transformer; its last norm is applied to what the heads read."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_layers))
        self.norm_f = nn.LayerNorm(config.hidden_dim, config.norm_eps)

    def forward(self, hidden: Tensor, rotary: RotaryTable) -> Tensor:
        """(batch, time, channel) -> the same."""
        for layer in self.layers:
            hidden = layer(hidden, rotary)
        out: Tensor = self.norm_f(hidden)
        return out


class Zonos(nn.Module):
    """All weights of one checkpoint."""

    def __init__(self, config: ZonosConfig) -> None:
        super().__init__()
        self.config = config
        hidden_dim = config.backbone.hidden_dim
        self.prefix_conditioner = PrefixConditioner(config.conditioners, hidden_dim)
        self.embeddings = nn.ModuleList(
            nn.Embedding(NUM_EMBEDDINGS, hidden_dim) for _ in range(NUM_CODEBOOKS)
        )
        self.backbone = Backbone(config.backbone)
        self.heads = nn.ModuleList(
            nn.Linear(hidden_dim, NUM_LOGITS, bias=False) for _ in range(NUM_CODEBOOKS)
        )

    def forward(self, prefix: Tensor, columns: Tensor) -> Tensor:
        """Logits behind a whole sequence, without a cache.

        Args:
            prefix: (batch, position, channel), from the prefix conditioner.
            columns: (column, codebook) int64: codes after the delay pattern.

        Returns:
            (batch, codebook, `NUM_LOGITS`) float32: of the column after the last.
        """
        audio = self.embed_columns(columns).expand(len(prefix), -1, -1)
        rotary = RotaryTable(self.config.backbone.head_dim, prefix.device)
        hidden = self.backbone(torch.cat((prefix, audio), dim=1), rotary)[:, -1]
        return torch.stack([head(hidden) for head in self.heads], dim=1).float()

    def embed_columns(self, columns: Tensor) -> Tensor:
        """(column, codebook) int64 -> (column, channel): the sum over codebooks, in their order."""
        return sum_embeddings([weight_of(embedding) for embedding in self.embeddings], columns)


def weight_of(module: nn.Module) -> Tensor:
    """The weight of a module out of a list, whose type torch does not tell."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def sum_embeddings(tables: list[Tensor], columns: Tensor) -> Tensor:
    """(column, codebook) int64 -> (column, channel).

    One after the other, because in bfloat16 the order of additions shows.
    """
    embedded = F.embedding(columns[:, 0], tables[0])
    for codebook_idx in range(1, len(tables)):
        embedded = embedded + F.embedding(columns[:, codebook_idx], tables[codebook_idx])
    return embedded
