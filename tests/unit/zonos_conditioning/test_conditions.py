"""Controls of a line: emotions as vectors, ranges, and what the prefix makes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch

from models.zonos.conditioners import ConditionerConfig, PrefixConditioner
from models.zonos.conditioners import conditioner_configs_from_json as configs_from_json
from models.zonos.conditions import Conditions
from models.zonos.emotion import EMOTION_NAMES, emotion_vector

PHONEMES = {"type": "EspeakPhonemeConditioner", "name": "espeak"}
FMAX = {
    "type": "FourierConditioner",
    "name": "fmax",
    "min_val": 0,
    "max_val": 24_000,
    "uncond_type": "learned",
}


def prefix_conditioner() -> PrefixConditioner:
    torch.manual_seed(0)
    configs = configs_from_json({"projection": "linear", "conditioners": [PHONEMES, FMAX]})
    return PrefixConditioner(configs, d_model=8)


@pytest.mark.parametrize("name", EMOTION_NAMES)
def test_a_named_emotion_weighs_most(name: str) -> None:
    vector = emotion_vector(name)
    assert EMOTION_NAMES[vector.index(max(vector))] == name
    assert sum(vector) == pytest.approx(1)


def test_weights_by_name_are_those_in_order() -> None:
    assert emotion_vector({"anger": 3, "happiness": 1}) == (0.25, 0, 0, 0, 0, 0.75, 0, 0)
    assert emotion_vector([1, 0, 0, 0, 0, 3, 0, 0]) == (0.25, 0, 0, 0, 0, 0.75, 0, 0)


@pytest.mark.parametrize(
    ("emotion", "message"),
    [
        ("joy", "known: happiness, sadness"),
        ({"joy": 1.0}, "known: happiness, sadness"),
        ([1.0] * 7, "7 weights of emotions; there are 8"),
        ({"anger": -1.0}, "0 or more"),
        ({"anger": float("nan")}, "0 or more"),
        ({}, "one more than 0"),
    ],
)
def test_what_is_no_emotion_is_refused(
    emotion: str | Mapping[str, float] | Sequence[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        emotion_vector(emotion)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fmax_hz": 24_001.0}, "fmax is 24001.0; it must lie in 0 to 24000"),
        ({"pitch_std": -1.0}, "pitch_std is -1.0; it must lie in 0 to 400"),
        ({"speaking_rate": float("inf")}, "speaking_rate is inf; it must lie in 0 to 40"),
        ({"language_id": 109}, "language id is 109; there are 109"),
        ({"speaker": torch.zeros(256)}, r"a speaker is \(128,\)"),
    ],
)
def test_a_control_out_of_range_is_refused_with_its_range(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Conditions(**{"language_id": 58, **given})


def test_what_is_none_is_not_given() -> None:
    conditions = Conditions(language_id=None, emotion=None, fmax_hz=None, pitch_std=45.0)
    assert sorted(conditions.values()) == ["pitch_std", "speaking_rate"]


def test_the_unconditional_row_has_the_same_text_and_nothing_else() -> None:
    conditioner = prefix_conditioner()
    ids = torch.tensor([2, 60, 61, 3])

    pair = conditioner.guidance_pair(ids, {"fmax": torch.tensor([8000.0])})

    assert pair.shape == (2, 5, 8)
    assert torch.equal(pair[0, :4], pair[1, :4])
    assert not torch.equal(pair[0, 4], pair[1, 4])
    assert torch.equal(pair[1], conditioner(ids, {}))


@pytest.mark.parametrize(
    ("ids", "values", "message"),
    [
        ([189], {}, "phoneme ids"),
        ([], {}, "phoneme ids"),
        ([2, 3], {"mood": [1.0]}, "no control 'mood'; it has fmax"),
        ([2, 3], {"fmax": [1.0, 2.0]}, r"fmax must be \(1,\)"),
    ],
)
def test_what_the_network_can_not_take_is_refused(
    ids: list[int], values: dict[str, list[float]], message: str
) -> None:
    tensors = {name: torch.tensor(value) for name, value in values.items()}
    with pytest.raises(ValueError, match=message):
        prefix_conditioner()(torch.tensor(ids, dtype=torch.int64), tensors)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([FMAX], "espeak among them"),
        ([PHONEMES, FMAX, FMAX], "each must occur once"),
        ([PHONEMES, {**FMAX, "typo": 1}], "unknown field 'typo'"),
        ([PHONEMES, {**FMAX, "type": "MambaConditioner"}], "known: EspeakPhonemeConditioner"),
        ([PHONEMES, {**FMAX, "max_val": 0}], "is no range"),
        ([PHONEMES, {**FMAX, "input_dim": 10**9}], "a dimension is not in 1 to 4096"),
        ([PHONEMES, "fmax"], "not an object"),
    ],
)
def test_a_malformed_configuration_is_refused(entries: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        configs_from_json({"projection": "linear", "conditioners": entries})


def test_an_integer_control_has_a_row_for_each_member_of_its_range() -> None:
    language = ConditionerConfig("IntegerConditioner", "language_id", min_val=-1, max_val=126)
    (phonemes,) = configs_from_json({"projection": "linear", "conditioners": [PHONEMES]})
    conditioner = PrefixConditioner((phonemes, language), d_model=8)
    embedder = conditioner.conditioners[1].int_embedder
    assert isinstance(embedder, torch.nn.Embedding)

    (token,) = conditioner.conditioners[1](torch.tensor([58]))

    assert embedder.num_embeddings == 128
    assert torch.equal(token, embedder.weight[59])
