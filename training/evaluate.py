"""Lets a voice speak a list of sentences and judges what is heard.

    python -m training.evaluate --config training/configs/evaluate.yaml --out DIR
    python -m training.evaluate --config … --url http://127.0.0.1:8000 --voice bujang --out DIR
    python -m training.evaluate --config … --voice bujang --against sinip --sentences 10 --out DIR
    python -m training.evaluate --config … --voice bujang-sovits --tokens-of bujang --out DIR

With --url a running service speaks; without it the models speak in this process. With --tokens-of
S2 is tried alone, on the tokens of what another voice says.

    DIR/report.json   every figure of every sentence
    DIR/report.md     the quality table and the sentences understood worst
    DIR/report.html   the same with plots and players, in one file
    DIR/report.svg    the plots
                      (another name than report with --name)

Exit status: 0 if the voice passes its gates, 1 if it fails one, 2 if nothing could be measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models import assets
from models.recognition import Recognizer
from models.speaker import SpeakerEncoder, ensure_speaker_encoder
from models.storage import ObjectStore, embedded_store, open_store
from training.evaluation.conditions import conditions
from training.evaluation.config import EvaluateConfig, load_config, read_lines
from training.evaluation.gates import judge
from training.evaluation.judge import (
    Embedder,
    Judge,
    Spoken,
    Transcriber,
    reference_embedding,
    speak_all,
)
from training.evaluation.measurements import Evaluation
from training.evaluation.memory import PeakMemory, peak_vram_gb
from training.evaluation.metrics import summarise
from training.evaluation.page import to_html
from training.evaluation.predictors import Panel, open_panel
from training.evaluation.recording import Recording
from training.evaluation.report import Report, plots, to_json, to_markdown
from training.evaluation.resynthesis import Resynthesizer
from training.evaluation.speakers import (
    GptSovitsSpeaker,
    LocalVoices,
    ServiceSpeaker,
    Speaker,
    service_client,
)
from training.publishing.references import encoder_opener

OpenVoice = Callable[[str], Speaker]

EXIT_PASSED, EXIT_FAILED, EXIT_NOTHING_MEASURED = 0, 1, 2


@dataclass(frozen=True)
class Listeners:
    """What judges recordings."""

    transcriber: Transcriber
    embedder: Embedder
    panel: Panel


@dataclass(frozen=True)
class Result:
    """A report, and the recordings it is about, by voice and text."""

    report: Report
    recordings: dict[str, dict[str, Recording]]


@dataclass(frozen=True)
class _Performance:
    """All that one voice spoke."""

    speaker: Speaker
    sentences: list[Spoken]
    long_texts: list[Spoken]
    peak_memory_gb: float | None
    peak_vram_gb: float | None

    @property
    def is_local(self) -> bool:
        return not isinstance(self.speaker, ServiceSpeaker)


def run(
    config: EvaluateConfig,
    voices: Sequence[str],
    open_voice: OpenVoice,
    open_listeners: Callable[[], Listeners],
) -> Result:
    """Let voices speak, then judge them; the first is the one on trial.

    Args:
        config: texts and gates.
        voices: one, or two to compare.
        open_voice: from a reference to a voice.
        open_listeners: called once all has been spoken, so that what they need is not counted as
            memory of the voice.

    Raises:
        ValueError: a voice can't be opened, or no rival or voice could speak its anchors.
    """
    speakers = {reference: open_voice(reference) for reference in (*voices, *config.rivals)}
    by_name = {speaker.voice: speaker for speaker in speakers.values()}
    # Spoken first: whatever is loaded with the first words does not count as time of a sentence.
    anchors = {name: _anchors(speaker, config) for name, speaker in by_name.items()}
    performances = [_perform(speakers[reference], config) for reference in voices]
    listeners = open_listeners()
    references = {
        name: reference_embedding(listeners.embedder, recordings)
        for name, recordings in anchors.items()
    }
    evaluations = [_evaluate(p, listeners, references, config) for p in performances]
    report = Report(
        title=f"Voice {' and '.join(e.voice for e in evaluations)}",
        conditions=_conditions(config, evaluations),
        evaluations=evaluations,
        outcomes=judge(config.make_gates(), evaluations[0].summary),
    )
    return Result(report, {p.speaker.voice: _recordings(p) for p in performances})


def write(result: Result, folder: Path, bit_rate: int, name: str = "report") -> None:
    """Write the four files of a report."""
    folder.mkdir(parents=True, exist_ok=True)
    report = result.report
    for suffix, content in (
        ("json", to_json(report)),
        ("md", to_markdown(report, picture=f"{name}.svg")),
        ("svg", plots(report)),
        ("html", to_html(report, result.recordings, bit_rate)),
    ):
        (folder / f"{name}.{suffix}").write_text(content, encoding="utf-8")


def _anchors(speaker: Speaker, config: EvaluateConfig) -> list[Recording]:
    """What a voice is compared with: clips it was made from, else other texts it speaks."""
    return speaker.clips() or [speaker.speak(text) for text in config.anchor_texts]


def _perform(speaker: Speaker, config: EvaluateConfig) -> _Performance:
    memory = PeakMemory()
    texts = read_lines(config.sentences, config.skip_sentences, config.max_sentences)
    sentences = speak_all(speaker, texts, memory.look)
    long_texts = read_lines(config.long_texts) if config.long_texts else []
    spoken_long = speak_all(speaker, long_texts, memory.look)
    is_local = not isinstance(speaker, ServiceSpeaker)
    return _Performance(
        speaker,
        sentences,
        spoken_long,
        memory.peak_gb if is_local else None,
        peak_vram_gb() if is_local else None,
    )


def _evaluate(
    performance: _Performance,
    listeners: Listeners,
    references: dict[str, Tensor],
    config: EvaluateConfig,
) -> Evaluation:
    voice = performance.speaker.voice
    # Another version of the same voice is nobody it could be mistaken for.
    others = {name: other for name, other in references.items() if _id(name) != _id(voice)}
    compared = {voice: references[voice], **others}
    listener = Judge(
        listeners.transcriber, listeners.embedder, listeners.panel, compared, config.language
    )
    sentences = tuple(
        listener.listen(spoken, voice, performance.is_local) for spoken in performance.sentences
    )
    long_texts = tuple(
        listener.listen(spoken, voice, performance.is_local, is_whole=True)
        for spoken in performance.long_texts
    )
    summary = summarise(sentences, long_texts, performance.peak_memory_gb, performance.peak_vram_gb)
    missing = dict(listeners.panel.missing)
    if not performance.is_local:
        missing["CPU time and memory"] = "a service does not say"
    if not others:
        summary["confusion_rate"] = None
        missing["multi-speaker confusion"] = "no other voice to compare with"
    if not long_texts:
        missing["long-form success"] = "no long texts were asked for"
    return Evaluation(voice, performance.speaker.engine, sentences, long_texts, summary, missing)


def _id(voice: str) -> str:
    """A voice without its version."""
    return voice.partition("@")[0]


def _conditions(config: EvaluateConfig, evaluations: Sequence[Evaluation]) -> dict[str, str]:
    first = evaluations[0]
    return conditions(
        sentences=f"{len(first.sentences)} of {config.sentences}, "
        f"behind the first {config.skip_sentences}",
        **{"long texts": f"{len(first.long_texts)}", "threads": str(config.num_threads)},
        engine=first.engine,
    )


def _recordings(performance: _Performance) -> dict[str, Recording]:
    return {
        spoken.text: spoken.recording
        for spoken in (*performance.sentences, *performance.long_texts)
        if spoken.recording is not None
    }


def _real_listeners(num_threads: int) -> Listeners:
    assets.ensure(assets.WHISPER)
    return Listeners(
        Recognizer(num_threads), SpeakerEncoder(ensure_speaker_encoder()), open_panel(num_threads)
    )


def _opener(url: str | None, config: EvaluateConfig) -> OpenVoice:
    if url is not None:
        client = service_client(url)
        return lambda voice: ServiceSpeaker(client, voice, config.language)
    stores: list[ObjectStore] = [embedded_store()]
    if config.root is not None:
        stores.insert(0, open_store(config.root))
    return LocalVoices(stores, config.num_threads).open


def _resynthesizer(open_voice: OpenVoice, teacher: str, config: EvaluateConfig) -> OpenVoice:
    """Opens the voice on trial so that it speaks a teacher's tokens, and rivals as they are."""

    def opened(reference: str) -> Speaker:
        voice = open_voice(reference)
        if reference != config.voice:
            return voice
        if not isinstance(voice, GptSovitsSpeaker):
            raise ValueError(f"{voice.voice} is of the engine {voice.engine}, which has no S2")
        encoder = encoder_opener(None, config.num_threads)(voice.ssl)
        return Resynthesizer(voice, open_voice(teacher), encoder)

    return opened


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--name", default="report", help="of the report's files")
    parser.add_argument("--voice", help="instead of that of the configuration")
    parser.add_argument("--against", help="a second voice, shown beside the first")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--url", help="base address of a running service")
    place.add_argument("--tokens-of", metavar="VOICE", help="S2 alone speaks what this one says")
    parser.add_argument("--root", help="storage root of published voices")
    parser.add_argument("--sentences", type=int, help="at most so many sentences")
    return parser.parse_args(arguments)


def _config(args: argparse.Namespace) -> EvaluateConfig:
    given = {"voice": args.voice, "root": args.root, "max_sentences": args.sentences}
    changes = {key: value for key, value in given.items() if value is not None}
    config = load_config(args.config)
    return EvaluateConfig.model_validate(config.model_dump() | changes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says; return the exit status."""
    args = _arguments(arguments)
    try:
        config = _config(args)
        torch.set_num_threads(config.num_threads)
        voices = [config.voice, *([args.against] if args.against else [])]
        open_voice = _opener(args.url, config)
        if args.tokens_of:
            open_voice = _resynthesizer(open_voice, args.tokens_of, config)
        result = run(config, voices, open_voice, lambda: _real_listeners(config.num_threads))
    except ValueError as error:
        print(error, file=sys.stderr)
        return EXIT_NOTHING_MEASURED
    write(result, args.out, config.player_bit_rate, args.name)
    print(to_markdown(result.report))
    return EXIT_PASSED if result.report.passes else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
