"""How many lines the persona engine writes, alone and several at once.

    python -m benchmarks.persona             # about two minutes on two cores

In CPU seconds, which a busy machine does not distort; with one thread they are the seconds of a
quiet one.
"""

import argparse
import asyncio
import tempfile
import time
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import environment, markdown_table, write_report
from deployments.driver.catalog import Catalog
from deployments.engine.persona.protocol import LineDone, LineRequest
from deployments.engine.persona.transformers_engine import TransformersEngine
from models.persona.adapter_files import AdapterFiles
from models.persona.base_model import BASE_MODEL, BASE_REVISION, ensure_base_model
from models.persona.persona import Persona
from models.persona.scene import Scene
from models.storage import FolderStore, embedded_store

_SCENES = (
    "점심시간이 십 분 남았는데 회의가 길어진다.",
    "부장님이 농담을 던졌는데 아무도 웃지 않는다. [지문: 진지하게]",
    "복사기가 또 고장 났다. [지문: 한숨을 쉬며]",
    "신입이 첫 보고서를 들고 왔다. [지문: 신나서]",
)


@dataclass(frozen=True)
class Round:
    """Lines written at once."""

    cpu_s: float
    lines: tuple[LineDone, ...]


async def write_line(engine: TransformersEngine, persona: Persona, number: int) -> LineDone:
    """One line, to its end."""
    scene = Scene.parse(_SCENES[number % len(_SCENES)])
    request = LineRequest(f"line-{number}", persona, scene, seed=number)
    async with aclosing(engine.generate(request)) as events:
        async for event in events:
            if isinstance(event, LineDone):
                return event
    raise RuntimeError("the line broke off")


async def write_lines(engine: TransformersEngine, persona: Persona, batch: int) -> Round:
    """`batch` lines at once."""
    started_s = time.process_time()
    lines = await asyncio.gather(*(write_line(engine, persona, n) for n in range(batch)))
    return Round(time.process_time() - started_s, tuple(lines))


def row(batch: int, rounds: list[Round]) -> dict[str, Any]:
    """The median round."""
    num_tokens = sum(line.num_new_tokens for line in rounds[0].lines)
    cpu_s = median(one.cpu_s for one in rounds)
    return {
        "batch": batch,
        "cpu_s_per_line": cpu_s / batch,
        "lines_per_cpu_s": batch / cpu_s,
        "tokens_per_line": num_tokens / batch,
        "tokens_per_cpu_s": num_tokens / cpu_s,
    }


async def measure(persona_id: str, batches: list[int], num_rounds: int) -> list[dict[str, Any]]:
    """A row for every batch size, all rounds with the same scenes and seeds."""
    with tempfile.TemporaryDirectory() as folder:
        stores = [FolderStore(Path(folder)), embedded_store()]
        engine = TransformersEngine.from_folder(
            ensure_base_model(),
            base_model=BASE_MODEL,
            base_revision=BASE_REVISION,
            num_threads=1,
            adapters=AdapterFiles(stores),
            num_slots=max(batches),
        )
        persona = Catalog([embedded_store()]).persona(persona_id)
        await engine.warm(persona)
        await write_lines(engine, persona, 1)
        rows = [
            row(batch, [await write_lines(engine, persona, batch) for _ in range(num_rounds)])
            for batch in batches
        ]
        await engine.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the persona engine.")
    parser.add_argument("--persona", default="bujang")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    rows = asyncio.run(measure(args.persona, args.batches, args.rounds))
    measured_in = environment() | {"clock": "cpu", "persona": args.persona, "rounds": args.rounds}
    results = {"environment": measured_in, "rows": rows}
    write_report(args.out, "persona", "Lines of the persona engine", results)
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
