"""Makes `data/resemblyzer.npz` with the package the weights come from.

Run from the checkout, where Resemblyzer 0.1.4, librosa 0.11.0 and scipy 1.17.1 are installed:

    python -m tests.unit.speaker.make_golden
"""

from pathlib import Path

import numpy as np
from resemblyzer import VoiceEncoder, audio

from tests.unit.speaker.signals import CASES, voiced

GOLDEN = Path(__file__).parent / "data" / "resemblyzer.npz"


def main() -> None:
    encoder = VoiceEncoder("cpu", verbose=False)
    embeddings, windows = [], []
    for case in CASES:
        samples = audio.normalize_volume(voiced(*case), -30, increase_only=True)
        embedding, partials, _ = encoder.embed_utterance(samples, return_partials=True)
        embeddings.append(embedding)
        windows.append(len(partials))
    np.savez_compressed(GOLDEN, embeddings=np.stack(embeddings), num_windows=windows)


if __name__ == "__main__":
    main()
