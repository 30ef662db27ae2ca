"""Speak a text into a file: python -m models.kokoro "안녕하세요." --voice sinip --out hello.wav"""

from __future__ import annotations

import argparse
from pathlib import Path

import soundfile

from models import assets
from models.kokoro.pipeline import KokoroEngine, speak
from models.kokoro.voice import EMOTIONS, KokoroVoice
from models.storage.records import VersionedRecords, embedded_store


def embedded_voice(reference: str) -> KokoroVoice:
    """A voice that ships with the project, by `id` or `id@version`."""
    voices = VersionedRecords([embedded_store()], "voices", "{version}/voice.json")
    return KokoroVoice.from_document(voices.read(voices.resolve(reference)))


def main() -> None:
    """Parse the command line, speak, write the file."""
    parser = argparse.ArgumentParser(prog="python -m models.kokoro", description=__doc__)
    parser.add_argument("text")
    parser.add_argument("--voice", default="sinip", help="id of an embedded voice")
    parser.add_argument("--emotion", default="neutral", choices=EMOTIONS)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path("out.wav"))
    args = parser.parse_args()
    engine = KokoroEngine(assets.ensure(assets.KOKORO))
    waveform = speak(args.text, embedded_voice(args.voice), engine, args.emotion, args.speed)
    soundfile.write(args.out, waveform, engine.sample_rate, subtype="PCM_16")
    print(f"{args.out}: {len(waveform) / engine.sample_rate:.1f} s")


if __name__ == "__main__":
    main()
