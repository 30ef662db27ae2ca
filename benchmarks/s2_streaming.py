"""How far partial-token streaming is from exact decoding, and what two exact seeds differ by.

    python -m benchmarks.s2_streaming

The distance is the mean absolute difference of log-mel spectrograms (natural log) over segments of
10 s. Random weights bound nothing about a trained voice; pass ``--checkpoint`` to measure one. Its
tokens are random too: what is compared is two ways of decoding the same ones.
"""

import argparse
from functools import partial
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from benchmarks.report import environment, markdown_table, write_report
from benchmarks.s2_voice import random_segment, random_voice
from models.audio.mel import log_mel_spectrogram
from models.audio.spectrogram import linear_spectrogram
from models.checkpoints import load_s2
from models.gpt_sovits.s2.decoding import decode
from models.gpt_sovits.s2.early_streaming import stream_early
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer

SECONDS = 10.0
CHUNK_TOKENS = (8, 16, 32, 64)


def log_mel_distance(first: Tensor, second: Tensor, sample_rate: int) -> float:
    """Mean absolute log-mel difference over the samples both have."""
    num_samples = min(len(first), len(second))
    mels = [
        log_mel_spectrogram(linear_spectrogram(wave[None, :num_samples]), sample_rate)
        for wave in (first, second)
    ]
    return (mels[0] - mels[1]).abs().mean().item()


def early_waveform(voice: Synthesizer, segment: Segment, chunk_tokens: int) -> Tensor:
    """The whole segment, its tokens arriving ``chunk_tokens`` at a time."""
    segment_of = partial(
        Segment,
        phoneme_ids=segment.phoneme_ids,
        speaker=segment.speaker,
        seed=segment.seed,
        noise_scale=segment.noise_scale,
    )
    chunks = torch.split(segment.semantic_tokens, chunk_tokens)
    return torch.cat(list(stream_early(voice, segment_of, chunks)))


def rows_for(voice: Synthesizer, num_segments: int) -> list[dict[str, str | float]]:
    """Distances from the exact waveform, averaged over segments."""
    rate = voice.config.sample_rate
    distances: dict[str, list[float]] = {}
    for seed in range(num_segments):
        segment = random_segment(voice, SECONDS, seed)
        (exact,) = decode(voice, [segment])
        other_seed = Segment(**{**vars(segment), "seed": seed + 1000})
        others = {"exact, another seed": decode(voice, [other_seed])[0]}
        for size in CHUNK_TOKENS:
            others[f"early, {size} tokens"] = early_waveform(voice, segment, size)
        for name, waveform in others.items():
            distances.setdefault(name, []).append(log_mel_distance(exact, waveform, rate))
    return [{"decode": name, "log_mel_distance": mean(all_)} for name, all_ in distances.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure early streaming's distance from exact.")
    parser.add_argument("--checkpoint", type=Path, help="a voice; random weights without")
    parser.add_argument("--segments", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    voice = load_s2(args.checkpoint) if args.checkpoint else random_voice()
    measured_in = environment() | {"weights": "checkpoint" if args.checkpoint else "random"}
    rows = rows_for(voice.prepare_for_inference(), args.segments)
    results = {"environment": measured_in, "rows": rows}
    write_report(args.out, "s2_streaming", "S2 early streaming against exact decoding", results)
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
