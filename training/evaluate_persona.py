"""Lets a persona answer scenes and keep up dialogues nobody trained it on, and marks it.

    python -m training.evaluate_persona --config training/configs/evaluate_persona.yaml --out DIR
    python -m training.evaluate_persona --config … --persona sinip@3 --root data --out DIR
    python -m training.evaluate_persona --config … --url http://127.0.0.1:8000 --out DIR

Without --url the engine writes in this process: the persona as it is served, its adapter without
the engine's guide, and the bare base model beside them. Where OPENAI_MODEL names a model, and
OPENAI_API_KEY or OPENAI_BASE_URL a server, that model is told the same character sheet as well.

    DIR/report.json   every figure and every line
    DIR/report.md     the table of marks and the lines
    DIR/report.html   the same with plots, in one file
    DIR/report.svg    the plots, and report-turns.svg of the dialogues
                      (another name than report with --name)

Exit status: 0 if the persona passes its gates, 1 if it fails one, 2 if nothing could be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from deployments.engine.persona.openai_engine import ExternalLlm, OpenAIEngine
from deployments.engine.persona.protocol import EngineError, PersonaEngine
from deployments.engine.persona.transformers_engine import TransformersEngine
from models.assets import AssetError
from models.persona.adapter_files import AdapterFiles
from models.persona.base_model import BASE_MODEL, BASE_REVISION, ensure_base_model
from models.persona.persona import Persona
from models.storage import ObjectStore, VersionedRecords, embedded_store, open_store
from training.evaluation.conditions import conditions
from training.evaluation.gates import judge
from training.loops.strict import ConfigError, read_config
from training.persona.evaluation.authors import (
    Author,
    EngineAuthor,
    ServiceAuthor,
    chat_model,
    service_client,
)
from training.persona.evaluation.config import EvaluatePersonaConfig
from training.persona.evaluation.marks import Listener
from training.persona.evaluation.performance import perform
from training.persona.evaluation.report import (
    Marked,
    Report,
    drift_plot,
    plots,
    to_html,
    to_json,
    to_markdown,
)
from training.persona.held_out import held_out_dialogues, held_out_scenes
from training.persona.rows import load_rows

EXIT_PASSED, EXIT_FAILED, EXIT_NOTHING_MEASURED = 0, 1, 2

_MAX_LINE_S = 120.0


@dataclass(frozen=True)
class Contestant:
    """An author; only who is on trial is asked for dialogues, and with every seed."""

    author: Author
    is_on_trial: bool


async def run(
    config: EvaluatePersonaConfig, persona: Persona, contestants: Sequence[Contestant]
) -> Report:
    """Let everyone write the same, then mark it; the first contestant is the one on trial.

    Raises:
        ValueError: a file of rows, scenes or dialogues can't be used.
    """
    rows = {name: load_rows(path) for name, path in config.rows.items()}
    if persona.persona_id not in rows:
        raise ConfigError(f"rows are given of {', '.join(rows)}, not of {persona.persona_id}")
    own = rows.pop(persona.persona_id)
    listener = Listener.of(persona, own, [row for others in rows.values() for row in others])
    scenes = held_out_scenes(config.scenes)[:: _stride(config)][: config.max_scenes]
    dialogues = held_out_dialogues(config.dialogues)[: config.max_dialogues]
    marked = []
    for contestant in contestants:
        performance = await perform(
            contestant.author,
            scenes,
            dialogues if contestant.is_on_trial else (),
            config.seeds if contestant.is_on_trial else config.seeds[:1],
            num_timed=config.num_timed,
            num_at_once=config.num_at_once,
        )
        figures = listener.mark(performance)
        marked.append(Marked(performance, figures, listener.by_turn(performance.turns)))
        print(f"{performance.name}: {len(performance.lines)} lines", flush=True)
    return Report(
        title=f"Persona {persona.ref}",
        conditions=_conditions(config, persona, listener),
        marked=marked,
        outcomes=judge(config.make_gates(), marked[0].figures),
    )


def write(report: Report, folder: Path, name: str = "report") -> None:
    """Write the files of a report."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, content in (
        (".json", to_json(report)),
        (".md", to_markdown(report, name)),
        (".svg", plots(report)),
        ("-turns.svg", drift_plot(report)),
        (".html", to_html(report)),
    ):
        if content:
            (folder / f"{name}{suffix}").write_text(content, encoding="utf-8")


def local_contestants(
    persona: Persona, engine: PersonaEngine, external: tuple[str, PersonaEngine] | None
) -> list[Contestant]:
    """The persona as served, without the guide, its bare base model, and one from elsewhere."""
    sampling = replace(persona.sampling, max_copied_chars=0)
    free = replace(persona, speech_level=None, sampling=sampling)
    contestants = [
        Contestant(EngineAuthor(persona.ref, engine, persona), True),
        Contestant(EngineAuthor("unguided", engine, free), False),
        Contestant(EngineAuthor("base", engine, replace(free, adapter=None)), False),
    ]
    if external is not None:
        name, elsewhere = external
        contestants.append(Contestant(EngineAuthor(name, elsewhere, persona), False))
    return contestants


def _stride(config: EvaluatePersonaConfig) -> int:
    """The project's scenes come emotion by emotion; a part of them shall hold every one."""
    return max(1, len(held_out_scenes(config.scenes)) // config.max_scenes)


def _conditions(
    config: EvaluatePersonaConfig, persona: Persona, listener: Listener
) -> dict[str, str]:
    adapter = persona.adapter
    return conditions(
        persona=f"{persona.ref} on {persona.base_model}"
        + ("" if adapter is None else f", rank {adapter.rank}"),
        asked=f"{config.max_scenes} scenes × {len(config.seeds)} seeds, "
        f"{config.max_dialogues} dialogues of twenty turns, {config.num_at_once} at once",
        threads=str(config.num_threads),
        **{
            "scene classifier": f"prefers the true scene for {listener.matched_rows:.0%} of the "
            "rows it has not seen",
            "words typical of it": ", ".join(listener.catchwords()[:12]),
        },
    )


@asynccontextmanager
async def _local(
    config: EvaluatePersonaConfig, persona: Persona, stores: Sequence[ObjectStore]
) -> AsyncIterator[list[Contestant]]:
    if persona.base_model != BASE_MODEL:
        raise ConfigError(
            f"{persona.ref} needs {persona.base_model}; in this process there is {BASE_MODEL}: "
            "start a service, and name it with --url"
        )
    engine = TransformersEngine.from_folder(
        ensure_base_model(),
        base_model=BASE_MODEL,
        base_revision=BASE_REVISION,
        num_threads=config.num_threads,
        adapters=AdapterFiles(stores),
        num_slots=config.num_at_once,
        max_waiting=config.num_at_once,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.close)
        external = None
        if model := os.environ.get("OPENAI_MODEL"):
            elsewhere = OpenAIEngine(
                ExternalLlm(
                    os.environ.get("OPENAI_BASE_URL"),
                    SecretStr(os.environ.get("OPENAI_API_KEY", "none")),
                    model,
                ),
                max_lines=config.num_at_once,
                max_line_s=_MAX_LINE_S,
            )
            stack.push_async_callback(elsewhere.close)
            external = (model, elsewhere)
        yield local_contestants(persona, engine, external)


@asynccontextmanager
async def _service(url: str, persona: Persona) -> AsyncIterator[list[Contestant]]:
    async with service_client(url) as client:
        model = await chat_model(client, persona.persona_id)
        yield [Contestant(ServiceAuthor(client, model), True)]


async def _evaluate(config: EvaluatePersonaConfig, url: str | None) -> Report:
    stores: list[ObjectStore] = [embedded_store()]
    if config.root is not None:
        root = config.root if "://" in config.root else str(Path(config.root).resolve())
        stores.insert(0, open_store(root))
    records = VersionedRecords(stores, "personas", "{version}/persona.json")
    persona = Persona.from_json(records.read_bytes(records.resolve(config.persona)))
    opened = _local(config, persona, stores) if url is None else _service(url, persona)
    async with opened as contestants:
        return await run(config, persona, contestants)


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says; return the exit status."""
    given = _arguments(arguments)
    try:
        config = read_config(given.config, EvaluatePersonaConfig)
        changes = {
            name: value
            for name in ("persona", "root", "max_scenes", "max_dialogues")
            if (value := getattr(given, name)) is not None
        }
        config = EvaluatePersonaConfig.model_validate(config.model_dump() | changes)
        report = asyncio.run(_evaluate(config, given.url))
        write(report, given.out, given.name)
    except (ValueError, OSError, AssetError, EngineError) as error:
        print(f"training.evaluate_persona: {error}", file=sys.stderr)
        return EXIT_NOTHING_MEASURED
    print(report.verdict)
    if report.marked[0].figures["answered"] == 0:
        return EXIT_NOTHING_MEASURED
    return EXIT_PASSED if report.passes else EXIT_FAILED


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate_persona", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--name", default="report", help="of the report's files")
    parser.add_argument("--persona", help="instead of that of the configuration")
    parser.add_argument("--root", help="storage root of published personas")
    parser.add_argument("--url", help="base address of a running service")
    parser.add_argument("--max-scenes", type=int)
    parser.add_argument("--max-dialogues", type=int)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
