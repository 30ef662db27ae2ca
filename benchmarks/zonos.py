"""Zonos' backbone at a middle size: steps per second at batch 1 and 8, against a plain eager loop.

    python -m benchmarks.zonos                       # about four minutes on two cores
    python -m benchmarks.zonos --threads 1 --rounds 5
    python -m benchmarks.zonos --threads 1 --clock cpu   # where other work disturbs the wall clock

A step draws one column of nine codes for every sequence, guidance included: two rows each. Real
time is 86.13 columns a second. Every contender decodes as many sequences of the same length behind
the same prefix length; prefill is not counted. Random weights: speed does not depend on them. The
published network has eight times as many (1.62 billion against 202 million). The CPU clock adds up
all threads, so it is to be read with one thread.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import (
    Contender,
    environment,
    markdown_table,
    ratio_of_medians,
    run_alternately,
    write_report,
)
from benchmarks.zonos_eager import EagerLoop
from models.zonos.codes import END_CODE, FRAME_RATE_HZ
from models.zonos.conditioners import ConditionerConfig
from models.zonos.config import BackboneConfig, ZonosConfig
from models.zonos.generation import ZonosBatch, ZonosRequest
from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.network import Zonos, weight_of

Clock = Callable[[], float]

BATCH_SIZES = (1, 8)
# A sentence and its conditions; 30 columns are 0.35 s of speech.
NUM_PREFIX_POSITIONS, NUM_STEPS = 70, 30
MIDDLE = BackboneConfig(
    hidden_dim=1024, num_layers=12, num_heads=16, num_kv_heads=4, feed_forward_dim=4096
)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def endless_network() -> Zonos:
    """Random weights whose end code is never likely, so that every run has the same length."""
    torch.manual_seed(0)
    text = ConditionerConfig("EspeakPhonemeConditioner", "espeak")
    network = Zonos(ZonosConfig(MIDDLE, (text,))).eval().requires_grad_(False)
    weight_of(network.heads[0])[END_CODE] = 0.0
    for head in network.heads:
        weight_of(head).mul_(20.0)  # some codes far likelier than others, as in a trained network
    return network


def prefixes(batch_size: int) -> Tensor:
    """(sequence, 2, position, channel)."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch_size, 2, NUM_PREFIX_POSITIONS, MIDDLE.hidden_dim)
    return torch.randn(shape, generator=generator)


def eager_contender(name: str, network: Zonos, batch: Tensor, clock: Clock) -> Contender:
    def run() -> float:
        loop = EagerLoop(network, batch)
        start = clock()
        for _ in range(NUM_STEPS):
            loop.step()
        return clock() - start

    return Contender(name, run)


def decoder_contender(name: str, decoder: GuidedDecoder, batch: Tensor, clock: Clock) -> Contender:
    """The class the service decodes with."""
    requests = [
        ZonosRequest(prefix, seed, max_new_frames=NUM_STEPS + 1)
        for seed, prefix in enumerate(batch)
    ]

    def run() -> float:
        decoding = ZonosBatch(decoder, len(requests), capacity=requests[0].max_positions)
        for request in requests:
            decoding.join(request)
        start = clock()
        for _ in range(NUM_STEPS):
            decoding.step()
        elapsed_s = clock() - start
        if len(decoding.active_slots) != len(requests):
            raise RuntimeError("a sequence ended during the measurement")
        return elapsed_s

    return Contender(name, run)


def measure(num_rounds: int, clock: Clock) -> list[dict[str, Any]]:
    networks = {name: endless_network().to(dtype) for name, dtype in DTYPES.items()}
    decoders = {name: GuidedDecoder(networks[name], dtype) for name, dtype in DTYPES.items()}
    rows: list[dict[str, Any]] = []
    for batch_size in BATCH_SIZES:
        batch = prefixes(batch_size)
        contenders = [
            eager_contender(f"plain loop {name}", networks[name], batch.to(dtype), clock)
            for name, dtype in DTYPES.items()
        ]
        contenders += [
            decoder_contender(f"decoder {name}", decoder, batch, clock)
            for name, decoder in decoders.items()
        ]
        seconds = run_alternately(contenders, num_rounds)
        rows += [_row(batch_size, name, seconds) for name in seconds]
    return rows


def _row(batch_size: int, name: str, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Ratios are to the plain loop of the same precision, at the same batch size."""
    plain_s = seconds[f"plain loop {name.rpartition(' ')[2]}"]
    steps_per_s = NUM_STEPS / statistics.median(seconds[name])
    return {
        "batch": batch_size,
        "contender": name,
        "steps_per_s": steps_per_s,
        "fastest_step_ms": 1e3 * min(seconds[name]) / NUM_STEPS,
        "columns_per_s": batch_size * steps_per_s,
        "times_real_time": batch_size * steps_per_s / FRAME_RATE_HZ,
        "times_plain": ratio_of_medians(plain_s, seconds[name]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zonos", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    machine = environment()
    rows = measure(args.rounds, CLOCKS[args.clock])
    workload = {
        "hidden_dim": MIDDLE.hidden_dim,
        "num_layers": MIDDLE.num_layers,
        "prefix_positions": NUM_PREFIX_POSITIONS,
        "steps": NUM_STEPS,
        "rounds": args.rounds,
        "clock": args.clock,
    }
    results = {"environment": machine | workload, "rows": rows}
    write_report(args.out, "zonos", "Zonos' backbone, 202 million weights", results)
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
