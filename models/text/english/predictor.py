"""Phones of words no dictionary has: g2p_en's character-level GRU, run in numpy.

Two gated recurrent units of 128 cells: one reads the letters, one writes phones until its end token
(greedy, at most 20).
"""

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from models.text.packaged_data import packaged_file

_LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
_VOWELS = ["AA", "AE", "AH", "AO", "AW", "AY"]
_PHONES = (
    ["<pad>", "<unk>", "<s>", "</s>"]
    + [f"{vowel}{stress}" for vowel in _VOWELS for stress in "012"]
    + ["B", "CH", "D", "DH"]
    + [f"{vowel}{stress}" for vowel in ("EH", "ER", "EY") for stress in "012"]
    + ["F", "G", "HH"]
    + [f"{vowel}{stress}" for vowel in ("IH", "IY") for stress in "012"]
    + ["JH", "K", "L", "M", "N", "NG"]
    + [f"{vowel}{stress}" for vowel in ("OW", "OY") for stress in "012"]
    + ["P", "R", "S", "SH", "T", "TH"]
    + ["UH0", "UH1", "UH2", "UW", "UW0", "UW1", "UW2", "V", "W", "Y", "Z", "ZH"]
)
_START, _END = _PHONES.index("<s>"), _PHONES.index("</s>")
_MAX_PHONES = 20

Array = NDArray[np.float32]


@lru_cache(maxsize=4096)
def predict(word: str) -> list[str]:
    """Phones of a lower-case word; ``<unk>`` among them where the network gives up."""
    weights = _weights()
    state: Array = np.zeros(weights["enc_w_hh"].shape[1], np.float32)
    for letter in [*word, "</s>"]:
        idx = _LETTERS.index(letter) if letter in _LETTERS else _LETTERS.index("<unk>")
        state = _gru_step(weights, "enc", weights["enc_emb"][idx], state)
    phones: list[str] = []
    last = _START
    for _ in range(_MAX_PHONES):
        state = _gru_step(weights, "dec", weights["dec_emb"][last], state)
        last = int(np.argmax(weights["fc_w"] @ state + weights["fc_b"]))
        if last == _END:
            break
        phones.append(_PHONES[last])
    return phones


def _gru_step(weights: dict[str, Array], name: str, value: Array, state: Array) -> Array:
    """One step of a GRU; gates in the order reset, update, candidate."""
    from_input = weights[f"{name}_w_ih"] @ value + weights[f"{name}_b_ih"]
    from_state = weights[f"{name}_w_hh"] @ state + weights[f"{name}_b_hh"]
    reset_in, update_in, candidate_in = np.split(from_input, 3)
    reset_state, update_state, candidate_state = np.split(from_state, 3)
    reset = _sigmoid(reset_in + reset_state)
    update = _sigmoid(update_in + update_state)
    candidate = np.tanh(candidate_in + reset * candidate_state)
    mixed: Array = (1 - update) * candidate + update * state
    return mixed


def _sigmoid(value: Array) -> Array:
    one = np.float32(1)
    squashed: Array = one / (one + np.exp(-value))
    return squashed


@cache
def _weights() -> dict[str, Array]:
    with np.load(packaged_file("g2p-en", "g2p_en/checkpoint20.npz"), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
