"""Which of a model's tokens a line may consist of."""

from __future__ import annotations

import re

from transformers import PreTrainedTokenizerBase

from models.persona.persona import Script

# A line break ends the line; the rest is what a Korean voice can read. Latin, other scripts and
# digits are left out: a small multilingual model drifts into them, and the voice misreads them.
_HANGUL_PIECE = re.compile(r"(?:[가-힣 .,!?~…'\"“”‘’()]+|\n+)")
_SENTENCEPIECE_SPACE = "▁"


def drawable_token_ids(tokenizer: PreTrainedTokenizerBase, script: Script) -> list[int]:
    """Ids of the tokens a line in `script` may be drawn from, in order, its end token included."""
    vocabulary = tokenizer.get_vocab()
    if script == "any":
        drawable = set(vocabulary.values()) - set(tokenizer.all_special_ids)
    else:
        drawable = {
            token_id
            for piece, token_id in vocabulary.items()
            if _HANGUL_PIECE.fullmatch(piece.replace(_SENTENCEPIECE_SPACE, " "))
        }
    return sorted(drawable | {tokenizer.eos_token_id})
