"""The yardstick of ``benchmarks.zonos``: a plain eager decoding loop.

It does what the public reference implementation does for each column, with nothing made clever: the
modules of the network as they are, keys and values concatenated to the cache, one product per head,
guidance, penalty, min-p and a draw from torch's generator. Unlike the reference, which fails on
more than one text, it takes a batch of equally long sequences. It is kept so that a ratio can be
measured on any machine.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.zonos.codes import MASK_CODE, NUM_CODEBOOKS
from models.zonos.guidance import guided
from models.zonos.network import TransformerLayer, Zonos
from models.zonos.rotary import RotaryTable

GUIDANCE_SCALE = 2.0
MIN_P = 0.1
REPETITION_PENALTY = 3.0
PENALTY_WINDOW = 2


class EagerLoop:
    """A batch of equally long sequences.

    Args:
        network: the weights, in the dtype to run in.
        prefixes: (batch, 2, position, channel): conditional, unconditional.
    """

    @torch.inference_mode()
    def __init__(self, network: Zonos, prefixes: Tensor) -> None:
        self.network = network
        config = network.config.backbone
        self.rotary = RotaryTable(config.head_dim, prefixes.device)
        rows = prefixes.flatten(0, 1)
        self.columns = torch.full((len(prefixes), 1, NUM_CODEBOOKS), MASK_CODE)
        nothing = rows.new_zeros(len(rows), config.num_kv_heads, 0, config.head_dim)
        self.cache = [(nothing, nothing)] * config.num_layers
        self.length = 0
        audio = self._embed(self.columns[:, 0]).unsqueeze(1)
        self.logits = self._forward(torch.cat((rows, audio), dim=1))

    @torch.inference_mode()
    def step(self) -> None:
        """Draw a column for every sequence, append it, and compute the next logits."""
        column = _sample(self.logits, self.columns[:, -PENALTY_WINDOW:])
        self.columns = torch.cat((self.columns, column.unsqueeze(1)), dim=1)
        self.logits = self._forward(self._embed(column).unsqueeze(1))

    def _embed(self, column: Tensor) -> Tensor:
        """(batch, codebook) -> (batch and branch, channel)."""
        return self.network.embed_columns(column).repeat_interleave(2, dim=0)

    def _forward(self, hidden: Tensor) -> Tensor:
        """(batch and branch, time, channel) -> guided logits of the last position."""
        positions = torch.arange(self.length, self.length + hidden.shape[1])
        self.length += hidden.shape[1]
        for layer_idx, layer in enumerate(self.network.backbone.layers):
            assert isinstance(layer, TransformerLayer)
            hidden = hidden + self._attend(layer_idx, layer, hidden, positions)
            hidden = hidden + layer.mlp(layer.norm2(hidden))
        normed = self.network.backbone.norm_f(hidden[:, -1])
        logits = torch.stack([head(normed) for head in self.network.heads], dim=1)
        return guided(logits.unflatten(0, (-1, 2)), GUIDANCE_SCALE)

    def _attend(
        self, layer_idx: int, layer: TransformerLayer, hidden: Tensor, positions: Tensor
    ) -> Tensor:
        mixer = layer.mixer
        by_head = mixer.in_proj(layer.norm(hidden)).unflatten(-1, (-1, mixer.head_dim))
        sizes = [mixer.num_heads, mixer.num_kv_heads, mixer.num_kv_heads]
        query, key, value = by_head.split(sizes, dim=2)
        query, key = self.rotary.turn(query, positions), self.rotary.turn(key, positions)
        past_key, past_value = self.cache[layer_idx]
        key = torch.cat((past_key, key.transpose(1, 2)), dim=2)
        value = torch.cat((past_value, value.transpose(1, 2)), dim=2)
        self.cache[layer_idx] = (key, value)
        is_prefill = hidden.shape[1] > 1
        attended = F.scaled_dot_product_attention(
            query.transpose(1, 2), key, value, is_causal=is_prefill, enable_gqa=True
        )
        out: Tensor = mixer.out_proj(attended.transpose(1, 2).flatten(2))
        return out


def _sample(logits: Tensor, recent: Tensor) -> Tensor:
    """(batch, codebook, logit), (batch, column, codebook) -> (batch, codebook)."""
    penalty = torch.ones_like(logits)
    for column in recent.unbind(1):
        is_code = column < logits.shape[-1]
        factor = torch.where(is_code, REPETITION_PENALTY, 1.0).unsqueeze(-1)
        index = column.clamp(max=logits.shape[-1] - 1).unsqueeze(-1)
        penalty.scatter_(-1, index, penalty.gather(-1, index) * factor)
    logits = torch.where(logits <= 0, logits * penalty, logits / penalty)
    probabilities = torch.softmax(logits, dim=-1)
    likeliest = probabilities.amax(-1, keepdim=True)
    probabilities = probabilities.masked_fill(probabilities < MIN_P * likeliest, 0.0)
    noise = torch.empty_like(probabilities).exponential_()
    return (probabilities / noise).argmax(-1)
