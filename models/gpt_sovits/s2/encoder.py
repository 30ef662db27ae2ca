"""The relative-position transformer encoder, used three times by the prior encoder."""

from torch import Tensor, nn
from torch.nn import functional as F

from models.gpt_sovits.s2.attention import MultiHeadAttention
from models.gpt_sovits.s2.layers import ChannelLayerNorm, same_padding


class FeedForward(nn.Module):
    """Conv, ReLU, conv over ``(batch, channel, time)``, padding frames held at zero."""

    def __init__(
        self, num_channels: int, filter_channels: int, kernel_size: int, dropout: float
    ) -> None:
        super().__init__()
        padding = same_padding(kernel_size)
        self.expand = nn.Conv1d(num_channels, filter_channels, kernel_size, padding=padding)
        self.contract = nn.Conv1d(filter_channels, num_channels, kernel_size, padding=padding)
        self.dropout = dropout

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = F.dropout(F.relu(self.expand(x * mask)), self.dropout, self.training)
        contracted: Tensor = self.contract(x * mask) * mask
        return contracted


class RelativeEncoder(nn.Module):
    """Post-norm transformer layers with relative-position self-attention.

    Args:
        num_channels: width in and out.
        filter_channels: inner width of the feed-forward convolutions.
        num_heads: attention heads.
        num_layers: number of layers.
        kernel_size: of the feed-forward convolutions, odd.
        dropout: training only.
    """

    def __init__(
        self,
        num_channels: int,
        filter_channels: int,
        num_heads: int,
        num_layers: int,
        kernel_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        layers = range(num_layers)
        self.dropout = dropout
        self.attentions = nn.ModuleList(
            MultiHeadAttention(num_channels, num_heads, dropout, is_relative=True) for _ in layers
        )
        self.attention_norms = nn.ModuleList(ChannelLayerNorm(num_channels) for _ in layers)
        self.feed_forwards = nn.ModuleList(
            FeedForward(num_channels, filter_channels, kernel_size, dropout) for _ in layers
        )
        self.feed_forward_norms = nn.ModuleList(ChannelLayerNorm(num_channels) for _ in layers)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode ``x`` (batch, channel, time) under ``mask`` (batch, 1, time); same shape out."""
        pair_mask = mask.unsqueeze(2) * mask.unsqueeze(3)
        x = x * mask
        for attention, norm, feed_forward, ff_norm in zip(
            self.attentions,
            self.attention_norms,
            self.feed_forwards,
            self.feed_forward_norms,
            strict=True,
        ):
            x = norm(x + self._drop(attention(x, x, pair_mask)))
            x = ff_norm(x + self._drop(feed_forward(x, mask)))
        return x * mask

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)
