"""The sizes of an S1 network."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class S1Config:
    """Architecture of the text-to-semantic transformer; defaults are the published v2 model.

    The end token is the last of the vocabulary and is not a semantic token itself.
    """

    num_semantic_tokens: int = 1024
    num_phonemes: int = 732
    bert_dim: int = 1024
    hidden_dim: int = 512
    num_heads: int = 16
    num_layers: int = 24
    feed_forward_dim: int = 2048
    dropout: float = 0.1

    def __post_init__(self) -> None:
        sizes = {name: value for name, value in asdict(self).items() if name != "dropout"}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} must be 1 or more, not {value}")
        if self.hidden_dim % (2 * self.num_heads):
            raise ValueError(
                f"hidden_dim must be a multiple of 2 * num_heads = {2 * self.num_heads}, "
                f"not {self.hidden_dim}"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), not {self.dropout}")

    @property
    def end_token(self) -> int:
        return self.num_semantic_tokens

    @property
    def vocab_size(self) -> int:
        return self.num_semantic_tokens + 1

    @classmethod
    def from_upstream(cls, model: Mapping[str, Any], **sizes: Any) -> Self:
        """Read the ``model`` section of an upstream configuration.

        Upstream's feed-forward layers have four times the hidden width whatever ``linear_units``
        says, and its ``dropout`` is not that of the transformer, so neither is read.

        Args:
            model: upstream's ``model`` section.
            sizes: fields upstream does not configure, such as ``bert_dim``.

        Raises:
            ValueError: an entry is missing, or sizes do not fit each other.
        """
        names = (
            "vocab_size",
            "phoneme_vocab_size",
            "hidden_dim",
            "embedding_dim",
            "head",
            "n_layer",
        )
        if missing := [name for name in names if name not in model]:
            raise ValueError(f"the model section of the configuration lacks {missing}")
        hidden_dim, end_token = model["hidden_dim"], model["vocab_size"] - 1
        if model["embedding_dim"] != hidden_dim:
            raise ValueError(
                f"embedding_dim is {model['embedding_dim']}; it must equal hidden_dim {hidden_dim}"
            )
        if model.get("EOS", end_token) != end_token:
            raise ValueError(f"EOS is {model['EOS']}; it must be the last token, {end_token}")
        return cls(
            num_semantic_tokens=end_token,
            num_phonemes=model["phoneme_vocab_size"],
            hidden_dim=hidden_dim,
            num_heads=model["head"],
            num_layers=model["n_layer"],
            feed_forward_dim=4 * hidden_dim,
            **sizes,
        )

    def to_upstream(self) -> dict[str, Any]:
        """The ``model`` section that upstream would write for these sizes."""
        return {
            "vocab_size": self.vocab_size,
            "phoneme_vocab_size": self.num_phonemes,
            "embedding_dim": self.hidden_dim,
            "hidden_dim": self.hidden_dim,
            "head": self.num_heads,
            "linear_units": self.feed_forward_dim,
            "n_layer": self.num_layers,
            "dropout": 0,
            "EOS": self.end_token,
            "random_bert": 0,
        }
