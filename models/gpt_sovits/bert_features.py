"""BERT features of Chinese text: what S1 reads beside the phonemes. Other languages have zeros.

The published voices were trained with chinese-roberta-wwm-ext-large, third hidden layer from the
end; each character's vector stands at all of its phonemes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from transformers import BertModel, BertTokenizer

_HIDDEN_LAYER = -3


class BertFeatures:
    """A BERT encoder with one token per Chinese character.

    Args:
        model: in evaluation mode; its hidden width must be S1's `bert_dim` (1024 as published).
        tokenizer: its tokenizer.
    """

    def __init__(self, model: BertModel, tokenizer: BertTokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Load a folder in the usual transformers layout; nothing is downloaded.

        Raises:
            OSError: a file is missing.
        """
        model = BertModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(model.eval(), tokenizer)

    @torch.inference_mode()
    def encode(self, text: str, phonemes_per_character: Sequence[int]) -> Tensor:
        """Features at the phoneme clock.

        Args:
            text: normalised Chinese.
            phonemes_per_character: how many phonemes each character of `text` has (`word2ph`).

        Returns:
            (phoneme, bert channel) float32.

        Raises:
            ValueError: the counts do not fit the text, or it is not one token per character.
        """
        if len(phonemes_per_character) != len(text):
            raise ValueError(
                f"{len(phonemes_per_character)} phoneme counts for {len(text)} characters"
            )
        if any(count < 0 for count in phonemes_per_character):
            raise ValueError("a phoneme count is negative")
        tokens = self._tokenizer(text, return_tensors="pt")
        hidden = self._model(**tokens, output_hidden_states=True).hidden_states[_HIDDEN_LAYER]
        characters: Tensor = hidden[0, 1:-1].float()  # without [CLS] and [SEP]
        if len(characters) != len(text):
            raise ValueError(
                f"the tokenizer made {len(characters)} tokens of {len(text)} characters; "
                "only normalised Chinese text has one each"
            )
        return characters.repeat_interleave(torch.tensor(phonemes_per_character), dim=0)
