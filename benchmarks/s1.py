"""S1 at the full v2 size: tokens per second at batch 1, 8 and 32, against a plain eager loop.

    python -m benchmarks.s1                       # about three minutes on two cores
    python -m benchmarks.s1 --threads 1 --rounds 5

Every contender decodes the same sequences; prefill is not counted. Random weights: speed does not
depend on them. What was tried and lost is in ``benchmarks/S1_NOTES.md``.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import (
    Contender,
    environment,
    markdown_table,
    ratio_of_medians,
    run_alternately,
    write_report,
)
from benchmarks.s1_eager import EagerLoop
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import DecodingBatch, S1Request
from models.gpt_sovits.s1.network import Text2Semantic

BATCH_SIZES = (1, 8, 32)
# A four-second reference clip and a sentence; 40 tokens are 1.6 s of speech.
NUM_PHONEMES, NUM_PROMPT_TOKENS, NUM_STEPS = 80, 100, 40
EAGER = "eager float32"


def endless_network(config: S1Config) -> Text2Semantic:
    """Random weights whose end token is never likely, so that every run has the same length."""
    torch.manual_seed(0)
    network = Text2Semantic(config).eval().requires_grad_(False)
    network.output.weight.mul_(4.0)
    network.output.weight[config.end_token] = 0.0
    return network


def requests(config: S1Config, batch_size: int) -> list[S1Request]:
    generator = torch.Generator().manual_seed(0)
    return [
        S1Request(
            torch.randint(config.num_phonemes, (NUM_PHONEMES,), generator=generator),
            torch.zeros(NUM_PHONEMES, config.bert_dim),
            torch.randint(config.num_semantic_tokens, (NUM_PROMPT_TOKENS,), generator=generator),
            seed=seed,
            max_new_tokens=NUM_STEPS + 1,
        )
        for seed in range(batch_size)
    ]


def eager_contender(network: Text2Semantic, batch: list[S1Request]) -> Contender:
    def run() -> float:
        loop = EagerLoop(
            network,
            torch.stack([request.phoneme_ids for request in batch]),
            torch.stack([request.bert_features for request in batch]),
            torch.stack([request.prompt_tokens for request in batch]),
        )
        start = time.perf_counter()
        for _ in range(NUM_STEPS):
            loop.step()
        return time.perf_counter() - start

    return Contender(EAGER, run)


def decoder_contender(name: str, decoder: S1Decoder, batch: list[S1Request]) -> Contender:
    """The class the service decodes with."""

    def run() -> float:
        decoding = DecodingBatch(decoder, len(batch), capacity=batch[0].max_positions)
        for request in batch:
            decoding.join(request)
        start = time.perf_counter()
        for _ in range(NUM_STEPS):
            decoding.step()
        elapsed_s = time.perf_counter() - start
        if len(decoding.active_slots) != len(batch):
            raise RuntimeError("a sequence ended during the measurement")
        return elapsed_s

    return Contender(name, run)


def measure(num_rounds: int) -> list[dict[str, Any]]:
    config = S1Config()
    network = endless_network(config)
    decoders = {
        "decoder float32": S1Decoder(network, torch.float32),
        "decoder bfloat16": S1Decoder(network, torch.bfloat16),
    }
    rows: list[dict[str, Any]] = []
    eager_alone_tokens_per_s = 0.0
    for batch_size in BATCH_SIZES:
        batch = requests(config, batch_size)
        contenders = [eager_contender(network, batch)]
        contenders += [decoder_contender(n, decoder, batch) for n, decoder in decoders.items()]
        seconds = run_alternately(contenders, num_rounds)
        for name, runs_s in seconds.items():
            tokens_per_s = batch_size * NUM_STEPS / statistics.median(runs_s)
            if batch_size == 1 and name == EAGER:
                eager_alone_tokens_per_s = tokens_per_s
            rows.append(
                {
                    "batch": batch_size,
                    "contender": name,
                    "step_ms": 1e3 * statistics.median(runs_s) / NUM_STEPS,
                    "fastest_step_ms": 1e3 * min(runs_s) / NUM_STEPS,
                    "tokens_per_s": tokens_per_s,
                    "times_eager": ratio_of_medians(seconds[EAGER], runs_s),
                    "times_eager_batch_1": tokens_per_s / eager_alone_tokens_per_s,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.s1", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    machine = environment()
    rows = measure(args.rounds)
    workload = {
        "phonemes": NUM_PHONEMES,
        "prompt_tokens": NUM_PROMPT_TOKENS,
        "steps": NUM_STEPS,
        "rounds": args.rounds,
    }
    results = {"environment": machine | workload, "rows": rows}
    write_report(args.out, "s1", "S1 decoding, full v2 size", results)
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
