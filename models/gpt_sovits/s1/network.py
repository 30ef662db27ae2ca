"""The S1 transformer: weights, and the full (uncached) forward pass.

Notable:
- one sequence [text ; audio]: text attends to all text, audio to all text and to earlier audio
- both parts have their own sinusoidal positions, each from 0, times a learned scale
- post-norm layers with ReLU; no final norm; the output layer is neither tied nor biased
- the last text position predicts the first semantic token, so there is no start token

Texts of a batch are padded on the left, so that this last position is one column for all of them.
Shapes: B batch, N phoneme, L semantic token, C hidden.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.gpt_sovits.s1.config import S1Config

_LONGEST_WAVELENGTH = 10_000.0  # "Attention is all you need", section 3.5


def sinusoidal_positions(positions: Tensor, dim: int) -> Tensor:
    """(..., dim) float32: sin on even and cos on odd channels of ``positions * wavelength**-1``."""
    channel = torch.arange(0, dim, 2, device=positions.device, dtype=torch.float32)
    rates = torch.exp(channel * (-math.log(_LONGEST_WAVELENGTH) / dim))
    angles = positions.to(torch.float32).unsqueeze(-1) * rates
    return torch.stack((torch.sin(angles), torch.cos(angles)), dim=-1).flatten(-2)


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward, each followed by residual, dropout and layer norm."""

    def __init__(self, dim: int, num_heads: int, feed_forward_dim: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(dim, 3 * dim)  # output rows ordered query, key, value
        self.attention_out = nn.Linear(dim, dim)
        self.attention_norm = nn.LayerNorm(dim)
        self.feed_forward_in = nn.Linear(dim, feed_forward_dim)
        self.feed_forward_out = nn.Linear(feed_forward_dim, dim)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, is_visible: Tensor) -> Tensor:
        """(batch, time, channel) -> same; ``is_visible``: bool (batch, 1, query, key)."""
        attended = self.attention_out(self._attend(hidden, is_visible))
        hidden = self.attention_norm(hidden + self.dropout(attended))
        inner = self.dropout(torch.relu(self.feed_forward_in(hidden)))
        out: Tensor = self.feed_forward_norm(hidden + self.dropout(self.feed_forward_out(inner)))
        return out

    def _attend(self, hidden: Tensor, is_visible: Tensor) -> Tensor:
        batch, time, dim = hidden.shape
        projected = self.query_key_value(hidden).view(batch, time, 3, self.num_heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        dropout = self.dropout.p if self.training else 0.0
        attended = F.scaled_dot_product_attention(query, key, value, is_visible, dropout)
        return attended.transpose(1, 2).reshape(batch, time, dim)


class Text2Semantic(nn.Module):
    """Weights of S1 and its teacher-forced forward pass. It holds no state of any request."""

    def __init__(self, config: S1Config) -> None:
        super().__init__()
        self.config = config
        dim = config.hidden_dim
        self.bert_projection = nn.Linear(config.bert_dim, dim)
        self.phoneme_embedding = nn.Embedding(config.num_phonemes, dim)
        self.text_position_scale = nn.Parameter(torch.ones(1))
        self.token_embedding = nn.Embedding(config.vocab_size, dim)
        self.audio_position_scale = nn.Parameter(torch.ones(1))
        self.layers = nn.ModuleList(
            TransformerLayer(dim, config.num_heads, config.feed_forward_dim, config.dropout)
            for _ in range(config.num_layers)
        )
        self.output = nn.Linear(dim, config.vocab_size, bias=False)
        self.position_dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        phoneme_ids: Tensor,
        bert_features: Tensor,
        phoneme_lens: Tensor,
        tokens: Tensor,
        token_lens: Tensor,
    ) -> Tensor:
        """Logits of every next token, given the true tokens before it.

        Args:
            phoneme_ids: (batch, phoneme) int64, padded on the left with any valid id.
            bert_features: (batch, phoneme, bert channel), padded on the left likewise.
            phoneme_lens: (batch,) int64.
            tokens: (batch, token) int64 in [0, vocab), padded on the right with any valid id.
            token_lens: (batch,) int64.

        Returns:
            (batch, token + 1, vocab): column t predicts token t.
        """
        num_phonemes, num_tokens = phoneme_ids.shape[1], tokens.shape[1]
        padding = num_phonemes - phoneme_lens.unsqueeze(1)
        columns = torch.arange(num_phonemes, device=phoneme_ids.device)
        text_positions = (columns - padding).clamp(min=0)
        text = self.embed_text(phoneme_ids, bert_features, text_positions)
        audio_columns = torch.arange(num_tokens, device=tokens.device)
        audio = self.embed_tokens(tokens, audio_columns)
        is_phoneme = columns >= padding
        is_token = audio_columns < token_lens.unsqueeze(1)
        hidden = self.transform(text, audio, is_phoneme, is_token)
        logits: Tensor = self.output(hidden[:, num_phonemes - 1 :])
        return logits

    def embed_text(self, phoneme_ids: Tensor, bert_features: Tensor, positions: Tensor) -> Tensor:
        """(batch, phoneme), (batch, phoneme, bert channel) -> (batch, phoneme, hidden)."""
        text = self.phoneme_embedding(phoneme_ids) + self.bert_projection(bert_features)
        return self._add_positions(text, positions, self.text_position_scale)

    def embed_tokens(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """(batch, token) -> (batch, token, hidden)."""
        audio = self.token_embedding(tokens)
        return self._add_positions(audio, positions, self.audio_position_scale)

    def _add_positions(self, embedded: Tensor, positions: Tensor, scale: Tensor) -> Tensor:
        table = sinusoidal_positions(positions, embedded.shape[-1]).to(embedded.dtype)
        out: Tensor = self.position_dropout(embedded + scale * table)
        return out

    def transform(
        self, text: Tensor, audio: Tensor, is_phoneme: Tensor, is_token: Tensor
    ) -> Tensor:
        """Run all layers over [text ; audio]; the masks are bool, False where a column is padding.

        Returns:
            (batch, phoneme + token, hidden).
        """
        hidden = torch.cat((text, audio), dim=1)
        is_visible = visible_keys(is_phoneme, is_token).unsqueeze(1)
        for layer in self.layers:
            hidden = layer(hidden, is_visible)
        return hidden


def visible_keys(is_phoneme: Tensor, is_token: Tensor) -> Tensor:
    """(batch, phoneme), (batch, token) bool -> (batch, query, key): allowed, and not padding."""
    is_real = torch.cat((is_phoneme, is_token), dim=1)
    allowed = text_audio_mask(is_phoneme.shape[1], is_token.shape[1], is_real.device)
    return allowed & is_real.unsqueeze(1)


def text_audio_mask(num_phonemes: int, num_tokens: int, device: torch.device) -> Tensor:
    """Bool (query, key): text sees all text; audio sees all text and audio up to itself."""
    length = num_phonemes + num_tokens
    allowed = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    allowed[:num_phonemes, :num_phonemes] = True
    return allowed
