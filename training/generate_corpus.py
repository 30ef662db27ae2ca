"""Lets the Kokoro teachers speak a corpus: text -> FLAC, with lists of what was spoken.

    python -m training.generate_corpus --config training/configs/corpus.yaml --report
    python -m training.generate_corpus --config training/configs/corpus.yaml --out DIR

Start it again after an interruption and it goes on: an utterance is there as a whole or not at all.

    DIR/plan.jsonl            what to speak; fixed by the configuration
    DIR/audio/SPEAKER/ID.flac
    DIR/list.txt              path|speaker|language|text, for training
    DIR/list_held_out.txt     the same for speakers that no training may hear
    DIR/metadata.jsonl        one object an utterance: also speed, source, duration
    DIR/failures.jsonl        what could not be spoken, and why
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import soundfile

from models import assets
from models.kokoro.errors import KokoroError
from models.kokoro.model import SAMPLE_RATE, Waveform
from models.kokoro.pipeline import KokoroEngine, speak
from models.kokoro.voice import KokoroVoice
from models.text.splitting import SplitLimits
from training.corpus.coverage import report
from training.corpus.plan import CorpusConfig, Item, load_config, load_plan, plan, save_plan
from training.loops.running import only_run
from training.loops.strict import ConfigError

LANGUAGE = "ko"

# Sentences are spoken whole: a short first segment serves listeners who wait, not learners.
_LIMITS = SplitLimits(first_chars=None)
_LIST_EVERY = 100
_PARTIAL_SUFFIX = ".partial"

Speak = Callable[[Item], Waveform]


def speaker_of_items(config: CorpusConfig) -> Speak:
    """A function that speaks an item with the real network, loaded once."""
    engine = KokoroEngine(assets.ensure(assets.KOKORO), style_row=config.style_row)
    voices = {speaker.name: speaker.voice() for speaker in config.speakers}
    return partial(_speak_item, engine, voices)


def generate(
    config: CorpusConfig,
    out: Path,
    num_processes: int = 1,
    make_speak: Callable[[CorpusConfig], Speak] = speaker_of_items,
) -> None:
    """Speak what is not there yet.

    Args:
        config: what to speak.
        out: folder of the corpus; made if missing.
        num_processes: how many speak side by side; each loads the network.
        make_speak: makes the function that speaks an item; called once in each process.

    Raises:
        ConfigError: the folder holds another corpus, or another run is writing to it.
    """
    with only_run(out):
        items = _fixed_plan(config, out)
        for leftover in out.glob(f"audio/*/*{_PARTIAL_SUFFIX}"):
            leftover.unlink()
        failures = _Failures(out / "failures.jsonl")
        todo = [i for i in items if not (out / i.path).exists() and i.id not in failures.ids]
        lists = _Lists(config, items, out)
        lists.write()
        for num_done, (item, error) in enumerate(
            _spoken(config, todo, out, num_processes, make_speak), 1
        ):
            if error is not None:
                failures.add(item, error)
            if num_done % _LIST_EVERY == 0:
                lists.write()
                print(f"{num_done} of {len(todo)} spoken, {lists.hours:.2f} h", flush=True)
        lists.write()
        print(f"done: {lists.hours:.2f} h, {len(failures.ids)} failures", flush=True)


def _fixed_plan(config: CorpusConfig, out: Path) -> list[Item]:
    """The plan in the folder, which must be that of `config`; written on the first run."""
    settings = config.model_dump_json(indent=2)
    settings_path, plan_path = out / "config.json", out / "plan.jsonl"
    if not settings_path.exists():
        save_plan(plan(config), plan_path)
        _replace(settings_path, settings)
    elif CorpusConfig.model_validate_json(settings_path.read_bytes()) != config:
        raise ConfigError(f"{out} holds a corpus of another configuration; choose a new folder")
    return load_plan(plan_path)


def _spoken(
    config: CorpusConfig,
    items: list[Item],
    out: Path,
    num_processes: int,
    make_speak: Callable[[CorpusConfig], Speak],
) -> Iterable[tuple[Item, str | None]]:
    """Each item once its file is complete, with the reason if there is none."""
    if num_processes == 1:
        speak_item = make_speak(config)
        yield from ((item, _write_item(speak_item, item, out)) for item in items)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(num_processes, _start_worker, (config, out, make_speak)) as pool:
        yield from pool.imap_unordered(_work, items)


def _start_worker(
    config: CorpusConfig, out: Path, make_speak: Callable[[CorpusConfig], Speak]
) -> None:
    global _worker
    _worker = partial(_write_item, make_speak(config), out=out)


_worker: Callable[[Item], str | None]


def _work(item: Item) -> tuple[Item, str | None]:
    return item, _worker(item)


def _speak_item(engine: KokoroEngine, voices: dict[str, KokoroVoice], item: Item) -> Waveform:
    return speak(item.text, voices[item.speaker], engine, speed=item.speed, limits=_LIMITS)


def _write_item(speak_item: Speak, item: Item, out: Path) -> str | None:
    """Speak an item into its file; the file appears when it is complete."""
    try:
        waveform = speak_item(item)
    except KokoroError as error:
        return str(error)
    path = out / item.path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(path.name + _PARTIAL_SUFFIX)
    soundfile.write(partial_path, waveform, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    os.replace(partial_path, path)
    return None


class _Failures:
    """Items that cannot be spoken, kept so that a later run does not try them again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.ids = {json.loads(line)["id"] for line in lines}

    def add(self, item: Item, error: str) -> None:
        self.ids.add(item.id)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(item) | {"error": error}, ensure_ascii=False) + "\n")


class _Lists:
    """The lists of finished utterances, in the order of the plan."""

    def __init__(self, config: CorpusConfig, items: list[Item], out: Path) -> None:
        self._items = items
        self._out = out
        self._held_out = {speaker.name for speaker in config.speakers if speaker.held_out}
        self._duration_s: dict[str, float] = {}

    @property
    def hours(self) -> float:
        """Audio listed so far."""
        return sum(self._duration_s.values()) / 3600

    def write(self) -> None:
        """Write the lists anew; each changes from one complete state to the next."""
        done = [item for item in self._items if self._measure(item)]
        training = [item for item in done if item.speaker not in self._held_out]
        held_out = [item for item in done if item.speaker in self._held_out]
        _replace(self._out / "list.txt", _lines(map(_list_line, training)))
        _replace(self._out / "list_held_out.txt", _lines(map(_list_line, held_out)))
        _replace(self._out / "metadata.jsonl", _lines(map(self._metadata_line, done)))

    def _measure(self, item: Item) -> bool:
        path = self._out / item.path
        if item.id not in self._duration_s and path.exists():
            self._duration_s[item.id] = soundfile.info(path).duration
        return item.id in self._duration_s

    def _metadata_line(self, item: Item) -> str:
        fields = asdict(item) | {
            "path": item.path,
            "language": LANGUAGE,
            "held_out": item.speaker in self._held_out,
            "duration_s": round(self._duration_s[item.id], 3),
        }
        return json.dumps(fields, ensure_ascii=False)


def _list_line(item: Item) -> str:
    return f"{item.path}|{item.speaker}|{LANGUAGE}|{item.text}"


def _lines(lines: Iterable[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    partial_path = path.with_name(path.name + _PARTIAL_SUFFIX)
    partial_path.write_text(text, encoding="utf-8")
    os.replace(partial_path, path)


def main() -> None:
    """Report on the text of a configuration, or speak it."""
    parser = argparse.ArgumentParser(
        prog="python -m training.generate_corpus", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--config", type=Path, required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--report", action="store_true", help="print the coverage of the text")
    what.add_argument("--out", type=Path, help="speak into this folder")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    config = load_config(args.config)
    if args.report:
        print(report(plan(config)))
        return
    try:
        generate(config, args.out, args.processes)
    except ConfigError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
