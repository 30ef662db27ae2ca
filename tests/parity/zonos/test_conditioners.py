"""Conditioners and the prefix they make, in both precisions, against the reference's."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from models.zonos.conditioners import PHONEMES, PrefixConditioner, conditioner_configs_from_json
from models.zonos.conditions import Conditions
from tests.parity.zonos.comparison import relative_error
from tests.parity.zonos.fill import GOLDEN, zonos_filler_for

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
TOLERANCES = {"fp32": 1e-5, "bf16": 3e-2}  # as documented with the vectors
NAMES: list[str] = GOLDEN.json("conditioners.json")["tokens"]["order"]


@cache
def network(precision: str) -> PrefixConditioner:
    keys = GOLDEN.json("keys_tiny11.json")
    config = keys["config"]
    conditioner = PrefixConditioner(
        conditioner_configs_from_json(config["prefix_conditioner"]), config["backbone"]["d_model"]
    )
    prefix = "prefix_conditioner."
    shapes = {key: shape for key, shape in keys["tensors"].items() if key.startswith(prefix)}
    state = zonos_filler_for("conditioners.json").state(shapes)
    conditioner.load_state_dict({key.removeprefix(prefix): state[key] for key in state})
    return conditioner.to(DTYPES[precision])


def inputs() -> tuple[Tensor, dict[str, Tensor]]:
    stored: dict[str, Any] = GOLDEN.json("conditioners.json")["inputs"]
    phoneme_ids = torch.tensor(stored.pop("espeak_ids"))
    speaker = zonos_filler_for("conditioners.json").values("in.speaker", (128,))
    numbers = {name: torch.tensor(stored[name]).flatten() for name in set(stored) - {"speaker"}}
    return phoneme_ids, {**numbers, "speaker": speaker}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", DTYPES)
def test_a_token_equals_the_reference(name: str, precision: str) -> None:
    golden = GOLDEN.arrays("conditioners.npz")
    phoneme_ids, values = inputs()
    values[PHONEMES] = phoneme_ids
    (conditioner,) = (c for c in network(precision).conditioners if c.name == name)

    tokens = conditioner(values[name])

    expected = golden[f"{precision}.{name}"].reshape(tokens.shape)
    assert relative_error(tokens, expected) <= TOLERANCES[precision]
    if name != PHONEMES:
        absent = golden[f"{precision}.{name}.uncond"].reshape(1, -1)
        assert relative_error(conditioner(None), absent) <= TOLERANCES[precision]


@pytest.mark.parametrize("precision", DTYPES)
def test_the_prefix_with_everything_given_equals_the_reference(precision: str) -> None:
    prefix = network(precision)(*inputs())
    (expected,) = GOLDEN.arrays("conditioners.npz")[f"{precision}.prefix_all"]
    assert relative_error(prefix, expected) <= TOLERANCES[precision]


@pytest.mark.parametrize("precision", DTYPES)
def test_the_guidance_pair_of_conditions_equals_the_reference(precision: str) -> None:
    golden = GOLDEN.arrays("conditioners.npz")
    phoneme_ids, values = inputs()
    happiness, sadness, disgust, fear, surprise, anger, other, neutral = values["emotion"].tolist()
    conditions = Conditions(
        language_id=int(values["language_id"]),
        speaker=values["speaker"],
        emotion=(happiness, sadness, disgust, fear, surprise, anger, other, neutral),
        fmax_hz=float(values["fmax"]),
        pitch_std=float(values["pitch_std"]),
        speaking_rate=float(values["speaking_rate"]),
    )
    # The quality controls of the hybrid are no part of Conditions.
    quality = {name: values[name] for name in ("ctc_loss", "speaker_noised")}

    pair = network(precision).guidance_pair(phoneme_ids, {**conditions.values(), **quality})

    expected = golden[f"{precision}.prepare_conditioning"]
    assert relative_error(pair, expected) <= TOLERANCES[precision]
    (conditional,) = golden[f"{precision}.prefix_default_uncond_keys"]
    assert relative_error(pair[0], conditional) <= TOLERANCES[precision]
