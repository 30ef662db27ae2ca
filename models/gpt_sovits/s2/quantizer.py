"""The codebook behind semantic tokens."""

import torch
from torch import Tensor, nn


class Codebook(nn.Module):
    """Nearest-neighbour quantiser with a frozen codebook.

    The counters of the k-means the codebook came from are kept because published checkpoints
    hold them and a converted file must hold them too; nothing here reads them.
    """

    embed: Tensor
    embed_avg: Tensor
    cluster_size: Tensor
    inited: Tensor

    def __init__(self, codebook_size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("inited", torch.ones(1))
        self.register_buffer("cluster_size", torch.zeros(codebook_size))
        self.register_buffer("embed", torch.randn(codebook_size, dim))
        self.register_buffer("embed_avg", self.embed.clone())

    def encode(self, x: Tensor) -> Tensor:
        """Index of the nearest vector by Euclidean distance.

        Args:
            x: (batch, dim, token).

        Returns:
            (batch, token) int64 in [0, codebook_size).
        """
        flat = x.transpose(1, 2)
        # ||x - e||^2 without ||x||^2, which is the same for every code.
        scores = 2 * flat @ self.embed.t() - self.embed.square().sum(dim=1)
        return scores.argmax(dim=-1)

    def decode(self, semantic_tokens: Tensor) -> Tensor:
        """Vectors of (batch, token) indices: (batch, dim, token).

        Raises:
            ValueError: an index lies outside the codebook.
        """
        if semantic_tokens.numel() and not (
            0 <= int(semantic_tokens.min()) and int(semantic_tokens.max()) < len(self.embed)
        ):
            raise ValueError(
                f"semantic tokens span {int(semantic_tokens.min())} to "
                f"{int(semantic_tokens.max())}; they must lie in [0, {len(self.embed)})"
            )
        return self.embed[semantic_tokens].transpose(1, 2)
