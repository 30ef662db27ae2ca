"""Small random Zonos networks."""

from collections.abc import Iterator

import pytest
import torch

from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.network import Zonos
from tests.zonos_network import random_zonos


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def network() -> Zonos:
    return random_zonos()


@pytest.fixture(scope="session")
def decoder(network: Zonos) -> GuidedDecoder:
    return GuidedDecoder(network)
