"""Small random S1 networks and requests."""

import random
from collections.abc import Callable

import pytest
import torch

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import S1Request
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s1.sampling import SamplingSettings

MakeRequest = Callable[[S1Config, int], S1Request]

TINY = S1Config(
    num_semantic_tokens=40, num_phonemes=20, bert_dim=12, hidden_dim=32, num_heads=4, num_layers=2,
    feed_forward_dim=128,
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Many tiny operations: threads only wait for each other, the more so on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_network() -> Text2Semantic:
    return random_network(TINY)


@pytest.fixture(scope="session")
def tiny_decoder(tiny_network: Text2Semantic) -> S1Decoder:
    return S1Decoder(tiny_network)


@pytest.fixture(scope="session")
def make_request() -> MakeRequest:
    return random_request


@pytest.fixture(scope="session")
def make_network() -> Callable[[S1Config], Text2Semantic]:
    return random_network


def random_network(config: S1Config) -> Text2Semantic:
    """Random weights, in eval mode, with an output layer steep enough to prefer some tokens."""
    torch.manual_seed(1)
    network = Text2Semantic(config).eval()
    with torch.no_grad():
        network.output.weight.mul_(4.0)
    return network


def random_request(config: S1Config, seed: int) -> S1Request:
    """A request that is a function of its seed: lengths, contents and sampling settings vary."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    num_phonemes, num_prompt = draw.randint(1, 40), draw.randint(0, 30)
    return S1Request(
        phoneme_ids=torch.randint(config.num_phonemes, (num_phonemes,), generator=generator),
        bert_features=torch.randn(num_phonemes, config.bert_dim, generator=generator),
        prompt_tokens=torch.randint(config.num_semantic_tokens, (num_prompt,), generator=generator),
        seed=seed,
        sampling=SamplingSettings(
            top_k=draw.choice([None, 1, 5, 15]),
            top_p=draw.choice([1.0, 0.8]),
            temperature=draw.choice([1.0, 0.7, 1.3]),
            repetition_penalty=draw.choice([1.0, 1.35]),
        ),
        max_new_tokens=draw.randint(1, 40),
    )
