"""The 732 phoneme symbols of GPT-SoVITS v2; a symbol's id is its place in the list."""

import json
from functools import cache
from importlib.resources import files

NUM_SYMBOLS = 732
UNKNOWN = "UNK"


@cache
def symbols() -> tuple[str, ...]:
    """All symbols in the order of their ids."""
    text = (files("models.text") / "data" / "gpt_sovits_v2_symbols.json").read_text(
        encoding="utf-8"
    )
    return tuple(json.loads(text)["symbols"])


@cache
def symbol_ids() -> dict[str, int]:
    """Symbol -> id."""
    return {symbol: idx for idx, symbol in enumerate(symbols())}


def ids_of(phones: list[str]) -> list[int]:
    """Ids of phones; one the model does not know becomes ``UNK``."""
    ids = symbol_ids()
    return [ids.get(phone, ids[UNKNOWN]) for phone in phones]
