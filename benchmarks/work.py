"""What the published sizes have to compute and to read, counted: no clock, any machine.

    python -m benchmarks.work

From these `benchmarks.capacity` estimates what a GPU would do that nobody has measured yet.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import environment, markdown_table, write_report
from benchmarks.s2_baseline import decode_plainly
from benchmarks.s2_voice import random_segment, random_voice
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.network import Text2Semantic

_BYTES = 2  # bfloat16
TOKENS_PER_AUDIO_S = 25


def s1_work() -> dict[str, Any]:
    """Of one decoding step: weights once, keys and values of every position of every sequence."""
    config = S1Config()
    with torch.device("meta"):
        network = Text2Semantic(config)
    parts = [*network.layers.parameters(), *network.output.parameters()]
    num_weights = sum(parameter.numel() for parameter in parts)
    return {
        "stage": "s1",
        "weight_mb": num_weights * _BYTES / 1e6,
        "kv_kb_per_position": 2 * config.num_layers * config.hidden_dim * _BYTES / 1e3,
        "gflop_per_audio_s": 2 * num_weights * TOKENS_PER_AUDIO_S / 1e9,
    }


def s2_work(audio_s: float = 3.0) -> dict[str, Any]:
    """Of one segment decoded as a whole."""
    voice = random_voice()
    with FlopCounterMode(display=False) as counter:
        decode_plainly(voice, random_segment(voice, audio_s))
    return {
        "stage": "s2",
        "weight_mb": sum(weight.numel() for weight in voice.parameters()) * _BYTES / 1e6,
        "kv_kb_per_position": 0.0,
        "gflop_per_audio_s": counter.get_total_flops() / audio_s / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the work of S1 and S2.")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    rows = [s1_work(), s2_work()]
    results = {"environment": environment(), "rows": rows}
    write_report(args.out, "work", "Work of S1 and S2, full v2 size, bfloat16", results)
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
