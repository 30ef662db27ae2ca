"""A tiny random Gemma with a tokenizer of single characters and bytes, built on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, normalizers
from tokenizers.models import BPE
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

from deployments.engine.persona.transformers_engine import TransformersEngine
from models.persona.adapter_files import AdapterFiles
from models.storage import FolderStore

TINY_REVISION = "random-0"

_SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>"]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_SYLLABLES = sorted(
    set("가나다라마바사아자차카타파하부장지시입력대상황문너는이밥먹배고프요습니까죠")
)
# Never read, but drawn: so a random line has words.
_WORD_STARTS = [f"▁{syllable}" for syllable in _SYLLABLES]
_PIECES = [*_SPECIAL, *_BYTES, *"▁\n#.,!?:[]", *_SYLLABLES, *_WORD_STARTS]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A few characters are tokens; any other is split into bytes, as in Gemma's."""
    vocabulary = {piece: idx for idx, piece in enumerate(_PIECES)}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
    )


def tiny_model(hidden_size: int = 32, head_dim: int = 16) -> Gemma3ForCausalLM:
    """Two layers, one of them with a sliding window shorter than the prompts of the tests."""
    config = Gemma3TextConfig(
        vocab_size=len(_PIECES),
        hidden_size=hidden_size,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=head_dim,
        sliding_window=32,
        layer_types=["sliding_attention", "full_attention"],
        max_position_embeddings=2048,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    torch.manual_seed(0)
    model: Gemma3ForCausalLM = Gemma3ForCausalLM(config).eval()
    return model


def tiny_engine(root: Path = Path("/nowhere"), **changes: Any) -> TransformersEngine:
    """An engine on the tiny model.

    Args:
        root: storage root that holds personas with adapters.
        changes: keyword arguments of the engine's constructor.
    """
    return TransformersEngine(
        tiny_model(),
        tiny_tokenizer(),
        base_model="tiny",
        base_revision=TINY_REVISION,
        num_threads=1,
        adapters=AdapterFiles([FolderStore(root)]),
        # No line ends because the machine has other things to do.
        **({"max_line_s": 600.0} | changes),
    )
