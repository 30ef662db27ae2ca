"""S1 networks and inputs as the golden vectors were made with."""

from functools import lru_cache

import torch
from torch import Tensor

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s1.upstream_keys import from_upstream, to_upstream
from tests.parity.fill import Filler, filler_for
from tests.parity.golden import GoldenFolder

GOLDEN = GoldenFolder("gpt_sovits_v2")


def network_for(size: str, file_name: str) -> Text2Semantic:
    """The ``tiny`` or ``full`` network in eval mode, filled with the salt of a golden file."""
    return _network(size, filler_for(file_name).salt)


def decoder_for(size: str, file_name: str) -> S1Decoder:
    """The float32 decoder of the same network."""
    return _decoder(size, filler_for(file_name).salt)


def bert_features(key: str, shape: tuple[int, ...], file_name: str) -> Tensor:
    """Channel first where they are made; (..., phoneme, channel) here."""
    return torch.from_numpy(filler_for(file_name).normalish(key, shape, 0.5)).transpose(-1, -2)


@lru_cache(maxsize=2)
def _network(size: str, salt: str) -> Text2Semantic:
    config = S1Config.from_upstream(GOLDEN.json(f"config_s1_{size}.json")["model"])
    with torch.device("meta"):
        network = Text2Semantic(config)
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    filler = Filler(salt)
    filled = {key: filler.tensor(key, shape) for key, shape in to_upstream(shapes).items()}
    network.load_state_dict(from_upstream(filled), assign=True)
    return network.requires_grad_(True).eval()


@lru_cache(maxsize=2)
def _decoder(size: str, salt: str) -> S1Decoder:
    return S1Decoder(_network(size, salt))
