"""Names of S1's tensors in published checkpoints, and ours.

The one place where the two meet; the two directions are exact inverses on every key of the model.
"""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

# (upstream, ours) of a whole module path.
_MODULES = (
    ("bert_proj", "bert_projection"),
    ("ar_text_embedding.word_embeddings", "phoneme_embedding"),
    ("ar_audio_embedding.word_embeddings", "token_embedding"),
    ("ar_predict_layer", "output"),
)
# (upstream, ours) of a whole key.
_SCALES = (
    ("ar_text_position.alpha", "text_position_scale"),
    ("ar_audio_position.alpha", "audio_position_scale"),
)
# (upstream, ours) of what follows the number of a layer; the attention's input projection is a
# bare parameter there, hence the underscores.
_IN_LAYER = (
    ("self_attn.in_proj_", "query_key_value."),
    ("self_attn.out_proj.", "attention_out."),
    ("linear1.", "feed_forward_in."),
    ("linear2.", "feed_forward_out."),
    ("norm1.", "attention_norm."),
    ("norm2.", "feed_forward_norm."),
)
_THEIR_LAYERS, _OUR_LAYERS = "h.layers.", "layers."


def from_upstream(state: Mapping[str, T]) -> dict[str, T]:
    """Rename an upstream state dict (without its ``model.`` prefix); unknown keys stay as is."""
    return {_to_ours(key): value for key, value in state.items()}


def to_upstream(state: Mapping[str, T]) -> dict[str, T]:
    """Undo :func:`from_upstream`."""
    return {_to_theirs(key): value for key, value in state.items()}


def _to_ours(key: str) -> str:
    return _rename(key, _THEIR_LAYERS, _OUR_LAYERS, reverse=False)


def _to_theirs(key: str) -> str:
    return _rename(key, _OUR_LAYERS, _THEIR_LAYERS, reverse=True)


def _rename(key: str, old_layers: str, new_layers: str, reverse: bool) -> str:
    in_layer = [pair[::-1] if reverse else pair for pair in _IN_LAYER]
    elsewhere = [(f"{theirs}.", f"{ours}.") for theirs, ours in _MODULES] + list(_SCALES)
    if reverse:
        elsewhere = [(ours, theirs) for theirs, ours in elsewhere]
    if key.startswith(old_layers):
        layer_idx, _, rest = key.removeprefix(old_layers).partition(".")
        return f"{new_layers}{layer_idx}.{_replace_start(rest, in_layer)}"
    return _replace_start(key, elsewhere)


def _replace_start(key: str, pairs: list[tuple[str, str]]) -> str:
    for old, new in pairs:
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key
