"""The yardstick of ``benchmarks.s1``: a plain eager float32 decoding loop.

It does what the public reference implementation does for each token, with nothing made clever:
``F.linear`` on the weights as they are, keys and values concatenated to the cache, all rows of the
batch of one length, the same sampling. It is kept so that a ratio can be measured on any machine.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.gpt_sovits.s1.network import (
    Text2Semantic,
    TransformerLayer,
    sinusoidal_positions,
    text_audio_mask,
)

TOP_K = 15
REPETITION_PENALTY = 1.35


class EagerLoop:
    """A batch of equally long sequences.

    Args:
        network: float32 weights.
        phoneme_ids: (batch, phoneme) int64.
        bert_features: (batch, phoneme, bert channel).
        prompt_tokens: (batch, token) int64.
    """

    @torch.inference_mode()
    def __init__(
        self,
        network: Text2Semantic,
        phoneme_ids: Tensor,
        bert_features: Tensor,
        prompt_tokens: Tensor,
    ) -> None:
        self.network = network
        self.tokens = prompt_tokens
        num_phonemes, num_tokens = phoneme_ids.shape[1], prompt_tokens.shape[1]
        text = network.embed_text(phoneme_ids, bert_features, torch.arange(num_phonemes))
        audio = network.embed_tokens(prompt_tokens, torch.arange(num_tokens))
        mask = text_audio_mask(num_phonemes, num_tokens, phoneme_ids.device)
        batch, _, dim = text.shape
        num_heads = network.config.num_heads
        nothing = torch.zeros(batch, num_heads, 0, dim // num_heads)
        self.cache = [(nothing, nothing) for _ in network.layers]
        self.logits = self._forward(torch.cat((text, audio), dim=1), mask)

    @torch.inference_mode()
    def step(self) -> None:
        """Draw a token for every row, append it, and compute the next logits."""
        token = _sample(self.logits, self.tokens)
        self.tokens = torch.cat((self.tokens, token), dim=1)
        embedded = self.network.token_embedding(token)
        position = torch.tensor([self.tokens.shape[1] - 1])
        table = sinusoidal_positions(position, embedded.shape[-1])
        embedded = embedded + self.network.audio_position_scale * table
        self.logits = self._forward(embedded, mask=None)

    def _forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        for layer_idx, layer in enumerate(self.network.layers):
            if isinstance(layer, TransformerLayer):
                hidden = self._layer(layer_idx, layer, hidden, mask)
        return F.linear(hidden[:, -1], self.network.output.weight)

    def _layer(
        self, layer_idx: int, layer: TransformerLayer, hidden: Tensor, mask: Tensor | None
    ) -> Tensor:
        batch, time, dim = hidden.shape
        projected = layer.query_key_value(hidden).view(batch, time, 3, layer.num_heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        past_key, past_value = self.cache[layer_idx]
        key, value = torch.cat((past_key, key), dim=2), torch.cat((past_value, value), dim=2)
        self.cache[layer_idx] = (key, value)
        attended = F.scaled_dot_product_attention(query, key, value, mask)
        attended = layer.attention_out(attended.transpose(1, 2).reshape(batch, time, dim))
        hidden = layer.attention_norm(hidden + attended)
        inner = layer.feed_forward_out(torch.relu(layer.feed_forward_in(hidden)))
        normed: Tensor = layer.feed_forward_norm(hidden + inner)
        return normed


def _sample(logits: Tensor, previous: Tensor) -> Tensor:
    """(batch, vocab) -> (batch, 1)."""
    seen = logits.gather(1, previous)
    seen = torch.where(seen < 0, seen * REPETITION_PENALTY, seen / REPETITION_PENALTY)
    logits = logits.scatter(1, previous, seen)
    threshold = logits.topk(TOP_K, dim=1).values[:, -1:]
    probabilities = torch.softmax(logits.masked_fill(logits < threshold, -torch.inf), dim=1)
    noise = torch.empty_like(probabilities).exponential_()
    return (probabilities / noise).argmax(dim=1, keepdim=True)
