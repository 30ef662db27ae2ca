"""How often a batch changes a sampled token in bfloat16, at the full v2 size.

    python -m benchmarks.s1_flips                  # about two minutes on two cores

Each sequence is decoded alone first. Then the same sequences are decoded side by side, every one
fed with the tokens it had alone, and what would have been drawn is compared, so that one flip does
not cause the next. Rows are either not padded (``row_bucket`` 1) or padded to the default bucket,
within which a row has the same bits in every batch. Random weights, so the rate is that of a random
network's probabilities, not of a trained voice's.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import environment, markdown_table, write_report
from benchmarks.s1 import endless_network, requests
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import S1Request
from models.gpt_sovits.s1.sampling import SamplingRows, SamplingSettings, sample

NUM_SEQUENCES, NUM_STEPS = 64, 20
BATCH_SIZES = (2, 8, 16, 32, 64)
NO_PADDING = 1


def drawn_tokens(
    decoder: S1Decoder, batch: list[S1Request], forced: Tensor | None = None
) -> Tensor:
    """(sequence, step): what is drawn at each step, each sequence fed with ``forced`` if given."""
    config = decoder.config
    slots = list(range(len(batch)))
    cache = decoder.new_cache(len(batch), capacity=max(r.max_positions for r in batch))
    logits = torch.stack(
        [
            decoder.prefill(r.phoneme_ids, r.bert_features, r.prompt_tokens, cache, slot)
            for slot, r in enumerate(batch)
        ]
    )
    is_seen = torch.zeros(len(batch), config.vocab_size, dtype=torch.bool)
    for slot, request in enumerate(batch):
        is_seen[slot, request.prompt_tokens] = True
    settings = SamplingRows.stack(
        [SamplingSettings()] * len(batch), config.vocab_size, decoder.device
    )
    seeds = torch.tensor([request.seed for request in batch])
    drawn = []
    for step in range(NUM_STEPS):
        steps = torch.full((len(batch),), step)
        tokens = sample(logits, is_seen, settings, seeds, steps).tokens
        drawn.append(tokens)
        fed = tokens if forced is None else forced[:, step]
        is_seen[slots, fed] = True
        logits = decoder.decode(fed, slots, cache)
    return torch.stack(drawn, dim=1)


def flip_rates(decoder: S1Decoder, batch: list[S1Request]) -> dict[int, float]:
    """Share of changed tokens by batch size."""
    alone = torch.cat([drawn_tokens(decoder, [request]) for request in batch])
    rates = {}
    for batch_size in BATCH_SIZES:
        together = [
            drawn_tokens(
                decoder,
                batch[start : start + batch_size],
                forced=alone[start : start + batch_size],
            )
            for start in range(0, len(batch), batch_size)
        ]
        rates[batch_size] = (torch.cat(together) != alone).float().mean().item()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.s1_flips", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = S1Config()
    network = endless_network(config)
    batch = requests(config, NUM_SEQUENCES)
    rows: list[dict[str, Any]] = []
    for row_bucket in (NO_PADDING, None):
        decoder = S1Decoder(network, torch.bfloat16, row_bucket)
        for batch_size, rate in flip_rates(decoder, batch).items():
            rows.append(
                {
                    "row_bucket": decoder.row_bucket,
                    "batch": batch_size,
                    "flipped_per_1000_tokens": 1000 * rate,
                    "tokens": NUM_SEQUENCES * NUM_STEPS,
                }
            )
    results = {"environment": environment(), "rows": rows}
    write_report(args.out, "s1_flips", "S1: sampled tokens changed by the batch", results)
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
