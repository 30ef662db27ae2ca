"""When each phoneme of a spoken corpus is heard, from the teacher's own duration predictor.

    python -m training.corpus.alignment --corpus DIR

writes `DIR/alignment.jsonl`: one object an utterance, `{"path", "phoneme_ends_s"}`, one end for
each phoneme id that the text front end gives. An S1 trained from nothing learns from it where to
look (`training.train_s1`); it is not needed to fine-tune one that reads already.
"""

from __future__ import annotations

import argparse
import json
import os
from itertools import accumulate
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import soundfile
from onnx.utils import Extractor

from models import assets
from models.kokoro.korean_ipa import spell, to_ipa
from models.kokoro.pipeline import KokoroEngine, sentence
from models.kokoro.voice import NEUTRAL
from models.text.frontend import Segment, analyze
from models.text.korean import pronounce, pronounce_standard
from models.text.korean.phonemes import to_letters
from models.text.splitting import SplitLimits
from training.corpus.plan import CorpusConfig, Item, load_plan

# Both ends of a recording were trimmed to this margin around the speech (models/kokoro/model.py).
_TRIM_MARGIN_S = 0.04
_DURATIONS = "/encoder/Clip_output_0"
_FRAME_S = 600 / 24_000
_BOUNDARY_TOKEN = 0
_LIMITS = SplitLimits(first_chars=None)


class NotAligned(ValueError):
    """The timing of an utterance can't be told."""


class DurationPredictor:
    """The part of the teacher that decides how long each symbol lasts.

    Args:
        engine: the teacher; its styles and vocabulary are used.
        folder: files of `models.assets.KOKORO`.
    """

    def __init__(self, engine: KokoroEngine, folder: Path) -> None:
        graph = Extractor(onnx.load(folder / "model.onnx")).extract_model(
            ["tokens", "style", "speed"], [_DURATIONS]
        )
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._engine = engine

    def symbol_durations_s(self, ipa: str, item: Item, config: CorpusConfig) -> list[float]:
        """Seconds of each symbol of `ipa` as it was spoken for this item."""
        voice = next(s for s in config.speakers if s.name == item.speaker).voice()
        variant = voice.variants[NEUTRAL]
        tokens = self._engine.model.tokenize(ipa)
        pitch_ratio = 2 ** (variant.pitch_semitones / 12)
        (frames,) = self._session.run(
            [_DURATIONS],
            {
                "tokens": np.array([[_BOUNDARY_TOKEN, *tokens, _BOUNDARY_TOKEN]], np.int64),
                "style": self._engine.style(voice, variant, len(tokens))[None],
                "speed": np.array([item.speed * variant.speed / pitch_ratio], np.float32),
            },
        )
        # Played faster by the ratio that raises the pitch.
        return [float(f) * _FRAME_S / pitch_ratio for f in frames.reshape(-1)[1:-1]]


def phoneme_ends_s(
    segment: Segment, pronounced: str, ipa: str, durations_s: list[float], total_s: float
) -> list[float]:
    """When each phoneme of a segment ends.

    Args:
        segment: with its phoneme ids.
        pronounced: what the teacher said, in Hangul.
        ipa: the same as it was given to the teacher.
        durations_s: of each symbol of `ipa`.
        total_s: of the recording; no phoneme ends later.

    Raises:
        NotAligned: the two pronunciations do not correspond.
    """
    ours = pronounce(segment.reading)
    if len(ours) != len(pronounced):
        raise NotAligned(f"{ours!r} and {pronounced!r} differ in length")
    ends = list(accumulate(durations_s, initial=_TRIM_MARGIN_S))
    at = 0  # symbols of `ipa` gone by
    found: list[float] = []
    for char, parts in zip(ours, spell(pronounced), strict=True):
        part_ends = []
        for part in parts:
            at += _num_used(part, ipa, at)
            part_ends.append(ends[at])
        found.extend(_letter_ends(char, part_ends))
    found.extend([ends[-1]] * (len(segment.phoneme_ids) - len(found)))  # a full stop was added
    if len(found) != len(segment.phoneme_ids):
        raise NotAligned(f"{len(found)} ends for {len(segment.phoneme_ids)} phonemes")
    return [round(min(end, total_s), 3) for end in found]


def _num_used(part: str, ipa: str, at: int) -> int:
    """How many symbols of `ipa` a part became: a space after a space became none."""
    return len(part) if ipa.startswith(part, at) else 0


def _letter_ends(char: str, part_ends: list[float]) -> list[float]:
    """Ends of a character's letters, from those of its onset, nucleus and coda."""
    letters = to_letters(char)
    if len(letters) == 1:
        return [part_ends[-1]]
    onset, nucleus, coda = part_ends
    has_coda = coda > nucleus or "ㄱ" <= letters[-1] <= "ㅎ"
    num_vowels = len(letters) - 1 - has_coda
    vowels = [onset + (nucleus - onset) * (i + 1) / num_vowels for i in range(num_vowels)]
    return [onset, *vowels, *([coda] if has_coda else [])]


def align(
    item: Item, config: CorpusConfig, predictor: DurationPredictor, total_s: float
) -> list[float]:
    """Phoneme ends of one utterance; `NotAligned` if it was spoken in several pieces."""
    segments = analyze(item.text, "ko", limits=_LIMITS)
    if len(segments) != 1:
        raise NotAligned(f"{item.text!r} is spoken in {len(segments)} pieces")
    pronounced = pronounce_standard(segments[0].reading)
    ipa = sentence(to_ipa(pronounced))
    durations_s = predictor.symbol_durations_s(ipa, item, config)
    return phoneme_ends_s(segments[0], pronounced, ipa, durations_s, total_s)


def main() -> None:
    """Align what of a corpus is spoken and not yet aligned."""
    parser = argparse.ArgumentParser(
        prog="python -m training.corpus.alignment", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--corpus", type=Path, required=True)
    corpus: Path = parser.parse_args().corpus
    config = CorpusConfig.model_validate_json((corpus / "config.json").read_bytes())
    folder = assets.ensure(assets.KOKORO)
    predictor = DurationPredictor(KokoroEngine(folder, style_row=config.style_row), folder)
    path = corpus / "alignment.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    known = {json.loads(line)["path"] for line in lines}
    num_refused = 0
    for item in load_plan(corpus / "plan.jsonl"):
        audio = corpus / item.path
        if item.path in known or not audio.exists():
            continue
        try:
            ends_s = align(item, config, predictor, soundfile.info(audio).duration)
        except NotAligned:
            num_refused += 1
            continue
        lines.append(json.dumps({"path": item.path, "phoneme_ends_s": ends_s}))
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    os.replace(partial, path)
    print(f"{len(lines)} aligned, {num_refused} not")


if __name__ == "__main__":
    main()
