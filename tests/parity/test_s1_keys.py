"""S1's state dict against the reference's list of keys and shapes."""

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.upstream_keys import from_upstream, to_upstream
from tests.parity.s1_reference import GOLDEN, network_for


def test_upstream_keys_and_shapes_are_those_of_the_published_model() -> None:
    state = to_upstream(network_for("full", "keys_s1.json").state_dict())
    expected = {key: tuple(entry["shape"]) for key, entry in GOLDEN.json("keys_s1.json").items()}
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == expected


def test_names_survive_the_way_there_and_back() -> None:
    published = {key: key for key in GOLDEN.json("keys_s1.json")}
    assert to_upstream(from_upstream(published)) == published


def test_the_published_configuration_is_the_default() -> None:
    assert S1Config.from_upstream(GOLDEN.json("config_s1_full.json")["model"]) == S1Config()
