"""The yardstick of the Zonos benchmark computes what the service computes."""

import torch

from benchmarks.zonos_eager import GUIDANCE_SCALE, EagerLoop
from models.zonos.guidance import guided
from models.zonos.guided_decoder import GuidedDecoder
from tests.zonos_network import random_request, random_zonos


def test_logits_of_the_plain_loop_are_those_of_the_decoder() -> None:
    network = random_zonos()
    prefix = random_request(network, 0).prefix
    loop = EagerLoop(network, torch.stack((prefix, 2 * prefix)))
    decoder = GuidedDecoder(network)
    cache = decoder.new_cache(num_slots=2, capacity=64)
    for slot, scale in enumerate((1, 2)):
        decoder.prefill(scale * prefix, loop.columns[slot], cache, slot)

    for _ in range(3):
        loop.step()
        logits = decoder.decode(loop.columns[:, -1], [0, 1], cache)
        torch.testing.assert_close(guided(logits, GUIDANCE_SCALE), loop.logits, rtol=0, atol=1e-3)
