"""Names of S2's tensors in published checkpoints, and ours.

The one place where the two meet. Both directions are exact inverses on every key of a voice and
of its discriminators.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

# Ordered; each pair is (upstream, ours) at the start of a key.
_PREFIXES = (
    ("enc_p.ssl_proj.", "prior_encoder.content_in."),
    ("enc_p.encoder_ssl.", "prior_encoder.content_encoder."),
    ("enc_p.text_embedding.", "prior_encoder.phoneme_embedding."),
    ("enc_p.encoder_text.", "prior_encoder.text_encoder."),
    ("enc_p.mrte.cross_attention.", "prior_encoder.mrte.attention."),
    ("enc_p.mrte.c_pre.", "prior_encoder.mrte.content_in."),
    ("enc_p.mrte.text_pre.", "prior_encoder.mrte.text_in."),
    ("enc_p.mrte.c_post.", "prior_encoder.mrte.out."),
    ("enc_p.encoder2.", "prior_encoder.joint_encoder."),
    ("enc_p.proj.", "prior_encoder.out."),
    ("enc_q.enc.", "posterior_encoder.wavenet."),
    ("enc_q.proj.", "posterior_encoder.out."),
    ("enc_q.", "posterior_encoder."),
    ("dec.cond.", "generator.speaker_in."),
    ("dec.ups.", "generator.upsamples."),
    ("dec.", "generator."),
    ("ref_enc.spectral.0.fc.", "reference_encoder.spectral.0."),
    ("ref_enc.spectral.3.fc.", "reference_encoder.spectral.1."),
    ("ref_enc.slf_attn.w_qs.", "reference_encoder.attention.query."),
    ("ref_enc.slf_attn.w_ks.", "reference_encoder.attention.key."),
    ("ref_enc.slf_attn.w_vs.", "reference_encoder.attention.value."),
    ("ref_enc.slf_attn.fc.", "reference_encoder.attention.output."),
    ("ref_enc.fc.fc.", "reference_encoder.out."),
    ("ref_enc.temporal.0.conv1.conv.", "reference_encoder.temporal.0.conv."),
    ("ref_enc.temporal.1.conv1.conv.", "reference_encoder.temporal.1.conv."),
    ("quantizer.vq.layers.0._codebook.", "codebook."),
)
# Upstream interleaves couplings with channel flips, which hold nothing but are counted.
_THEIR_COUPLING = re.compile(r"flow\.flows\.(\d+)\.(enc\.)?")
_OUR_COUPLING = re.compile(r"flow\.couplings\.(\d+)\.(wavenet\.)?")
# Ordered; each pair is (upstream, ours) of a component after the prefix.
_COMPONENTS = (
    ("attn_layers", "attentions"),
    ("norm_layers_1", "attention_norms"),
    ("ffn_layers", "feed_forwards"),
    ("norm_layers_2", "feed_forward_norms"),
    ("conv_q", "query"),
    ("conv_k", "key"),
    ("conv_v", "value"),
    ("conv_o", "output"),
    ("emb_rel_k", "offsets.keys"),
    ("emb_rel_v", "offsets.values"),
    ("conv_1", "expand"),
    ("conv_2", "contract"),
    ("in_layers", "gates"),
    ("res_skip_layers", "res_skips"),
    ("cond_layer", "speaker_in"),
    ("convs1", "dilated"),
    ("convs2", "plain"),
    ("weight_g", "parametrizations.weight.original0"),
    ("weight_v", "parametrizations.weight.original1"),
)


def from_upstream(state: Mapping[str, T]) -> dict[str, T]:
    """Rename a published state dict, or anything keyed like one, to our names."""
    return {_to_ours(key): value for key, value in state.items()}


def to_upstream(state: Mapping[str, T]) -> dict[str, T]:
    """Undo :func:`from_upstream`."""
    return {_to_theirs(key): value for key, value in state.items()}


def _to_ours(key: str) -> str:
    if match := _THEIR_COUPLING.match(key):
        prefix = f"flow.couplings.{int(match[1]) // 2}." + ("wavenet." if match[2] else "")
        return prefix + _rename_components(key[match.end() :], _COMPONENTS)
    for theirs, ours in _PREFIXES:
        if key.startswith(theirs):
            return ours + _rename_components(key.removeprefix(theirs), _COMPONENTS)
    return _rename_components(key, _COMPONENTS)


def _to_theirs(key: str) -> str:
    components = [(ours, theirs) for theirs, ours in _COMPONENTS]
    if match := _OUR_COUPLING.match(key):
        prefix = f"flow.flows.{int(match[1]) * 2}." + ("enc." if match[2] else "")
        return prefix + _rename_components(key[match.end() :], components)
    for theirs, ours in _PREFIXES:
        if key.startswith(ours):
            return theirs + _rename_components(key.removeprefix(ours), components)
    return _rename_components(key, components)


def _rename_components(key: str, renames: Iterable[tuple[str, str]]) -> str:
    """Replace whole dotted components of ``key``."""
    dotted = f".{key}."
    for old, new in renames:
        dotted = dotted.replace(f".{old}.", f".{new}.")
    return dotted[1:-1]
