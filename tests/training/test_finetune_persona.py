"""Adapters: what they learn from, that they learn it, and that a run goes on where it stood."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from torch import Tensor
from torch.nn import functional

from deployments.engine.persona.protocol import BaseModelMismatch, LineDone, LineRequest
from deployments.engine.persona.transformers_engine import TransformersEngine
from models.persona.adapter_files import AdapterFiles
from models.persona.persona import Persona
from models.persona.scene import Scene
from models.storage import FolderStore
from tests.training.persona_runs import (
    CHARACTER,
    LINES,
    base_model,
    make_task,
    persona_args,
    write_rows,
)
from tests.unit.persona.tiny import TINY_REVISION, tiny_tokenizer
from training.finetune_persona import main, publish_run
from training.loops.identity import require_same_run
from training.loops.journal import read_metrics
from training.loops.persona import measure
from training.loops.persona.examples import Collator, Example, prompt_ids
from training.loops.persona.launch import Task, run_locally
from training.loops.persona.measure import line_logits
from training.loops.persona.run import Material, fine_tune, newest_checkpoint
from training.loops.strict import ConfigError
from training.loops.world import World
from training.persona import publication
from training.persona.character import Character
from training.persona.line_format import fault_of
from training.persona.publication import publish

pytestmark = [
    # peft asks transformers by a name that transformers has deprecated.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]


def losses_of(run: Path) -> list[float]:
    return [entry["loss"] for entry in read_metrics(run, "train")]


def train(task: Task, stop_after: int | None = None) -> bool:
    """Train without exporting; ask to stop after so many updates."""
    asked = iter(range(1_000_000))
    should_stop = (lambda: next(asked) + 1 == stop_after) if stop_after else (lambda: False)
    return fine_tune(task.args, task.material(), task.base(), task.out, World(), should_stop)


def published(task: Task, root: Path) -> Persona:
    record = publish_run(task, str(root)).record
    return Persona.load(root / "personas" / record.name / record.version)


def spoken(root: Path, persona: Persona, revision: str = TINY_REVISION) -> LineDone:
    """What an engine on the tiny base model writes with a persona below `root`."""

    async def write() -> LineDone:
        engine = TransformersEngine(
            base_model(),
            tiny_tokenizer(),
            base_model=persona.base_model,
            base_revision=revision,
            num_threads=1,
            adapters=AdapterFiles([FolderStore(root)]),
        )
        try:
            request = LineRequest("r", persona, Scene("배고프다"))
            async with aclosing(engine.generate(request)) as events:
                done = [event async for event in events][-1]
        finally:
            await engine.close()
        assert isinstance(done, LineDone)
        return done

    return asyncio.run(write())


def test_model_is_trained_on_the_prompt_that_serving_writes(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    persona = task.material().persona

    read = prompt_ids(tiny_tokenizer(), persona, Scene("배고프다"))

    assert tiny_tokenizer().decode(read) == (
        "<bos>### 지시\n너는 배우다.\n\n### 입력\n상황: 배고프다\n\n### 대사\n"
    )


def test_held_out_loss_is_that_of_the_lines_tokens_and_their_ends(tmp_path: Path) -> None:
    task = make_task(tmp_path, max_updates=1, data={"held_out_share": 0.4})
    train(task)

    _, held_out = task.material().examples(task.args, tiny_tokenizer())
    losses = []
    for example in held_out:
        assert example.line_ids[-1] == tiny_tokenizer().eos_token_id
        ids = torch.tensor([example.prompt_ids + example.line_ids])
        logits = base_model()(ids).logits[0, len(example.prompt_ids) - 1 : -1]
        losses.append(functional.cross_entropy(logits, ids[0, len(example.prompt_ids) :]).detach())
    num_tokens = torch.tensor([len(example.line_ids) for example in held_out])
    wanted = (torch.stack(losses) * num_tokens).sum() / num_tokens.sum()
    assert read_metrics(task.out, "validation")[0]["loss"] == pytest.approx(float(wanted), rel=1e-4)


def test_rows_are_padded_on_the_left_so_that_lines_end_together() -> None:
    items = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8], "labels": [8]}]

    batch = {name: tensor.tolist() for name, tensor in Collator(pad_id=0)(items).items()}

    assert batch == {
        "input_ids": [[5, 6, 7], [0, 0, 8]],
        "labels": [[-100, 6, 7], [-100, -100, 8]],
        "attention_mask": [[1, 1, 1], [0, 0, 1]],
        "position_ids": [[0, 1, 2], [0, 0, 0]],
    }


@pytest.mark.parametrize("precision", ["float32", "nf4"])
def test_a_few_rows_are_learnt_by_heart(tmp_path: Path, precision: str) -> None:
    task = make_task(
        tmp_path,
        precision=precision,
        compute_dtype="float32",
        epochs=60,
        batch_size=4,
        lora={"rank": 8, "alpha": 32, "dropout": 0.0},
        validation_every_updates=60,
        checkpoint={"every_updates": 60},
        publishing={"serves_in": [precision, "float32"], "licence": "MIT", "weights": "last"},
    )

    assert train(task)

    assert losses_of(task.out)[0] > 4
    assert losses_of(task.out)[-1] < 0.2


def test_interrupted_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, parts = make_task(tmp_path, "whole"), make_task(tmp_path, "parts")

    assert train(whole)
    assert not train(parts, stop_after=3)
    assert train(parts)

    assert losses_of(parts.out) == losses_of(whole.out)
    assert read_metrics(parts.out, "validation") == read_metrics(whole.out, "validation")
    for name in ("best", "last"):
        weights = [task.out / name / "adapter_model.safetensors" for task in (whole, parts)]
        assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize("left", [None, '{"epoch": 1.0, "glob'])
def test_checkpoint_that_was_cut_off_is_not_gone_on_from(tmp_path: Path, left: str | None) -> None:
    whole, cut = make_task(tmp_path, "whole"), make_task(tmp_path, "cut")
    assert train(whole)
    assert not train(cut, stop_after=4)
    newest = newest_checkpoint(cut.out / "checkpoints")
    assert newest is not None and newest.name == "checkpoint-4"
    (newest / "trainer_state.json").unlink()
    if left is not None:
        (newest / "trainer_state.json").write_text(left)

    assert train(cut)

    assert losses_of(cut.out) == losses_of(whole.out)


@pytest.mark.parametrize(
    ("changes", "lines", "character", "reason"),
    [
        ({}, {**LINES, "밥": "가나?"}, CHARACTER, "rows 5 of sha256 .*, not 5 of sha256 .*"),
        ({}, LINES, {**CHARACTER, "persona_id": "other"}, "persona_id baeu, not other"),
        ({"lr": 1e-3}, LINES, CHARACTER, r"lr 0\.01, not 0\.001"),
        ({"precision": "nf4"}, LINES, CHARACTER, "precision float32, not nf4"),
    ],
)
def test_run_that_has_begun_goes_on_with_nothing_else(
    tmp_path: Path,
    changes: dict[str, Any],
    lines: dict[str, str],
    character: dict[str, Any],
    reason: str,
) -> None:
    task = make_task(tmp_path)
    begin(task)

    publishing = {"serves_in": ["float32", "nf4"], "licence": "MIT"}
    other = make_task(tmp_path, publishing=publishing, **changes)
    write_rows(task.data, lines)
    with pytest.raises(ConfigError, match=f"run has begun with {reason}; choose a new folder"):
        run_locally(replace(other, character=Character(character)))


def begin(task: Task) -> None:
    """As a run that was stopped after its first checkpoint."""
    task.out.mkdir()
    require_same_run(task.out, task.material().facts(task.args))
    (task.out / "checkpoints" / "checkpoint-1").mkdir(parents=True)


def test_how_lines_are_drawn_and_work_is_shared_may_change_while_a_run_stands(
    tmp_path: Path,
) -> None:
    task = make_task(tmp_path)
    begin(task)
    warmer = Character({**CHARACTER, "sampling": {"temperature": 1.0}})
    other = replace(make_task(tmp_path, epochs=5, batch_size=1, accumulate=2), character=warmer)
    require_same_run(other.out, other.material().facts(other.args))


def test_precision_that_makes_an_adapter_compute_no_number_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishing = {"serves_in": ["float32", "bfloat16"], "licence": "MIT"}
    task = make_task(tmp_path, max_updates=1, publishing=publishing, data={"held_out_share": 0.4})
    # Two rows: each twice in the precision of training, then once in the other; the last of them,
    # for that is what Python's max drops.
    broken = {6: float("nan")}
    calls = count(1)

    def logits(model: PeftModel, example: Example) -> Tensor:
        return line_logits(model, example) + broken.get(next(calls), 0.0)

    monkeypatch.setattr(measure, "line_logits", logits)

    with pytest.raises(ConfigError, match="in bfloat16 the adapter's logits are not finite"):
        run_locally(task)
    assert not task.is_done


def test_published_adapter_speaks_through_engine_and_peft(tmp_path: Path) -> None:
    root = tmp_path / "root"
    task = make_task(tmp_path, epochs=60, batch_size=4, validation_every_updates=60)
    assert run_locally(task)

    persona = published(task, root)

    assert (persona.ref, persona.instruction, persona.examples) == ("baeu@1", "너는 배우다.", ())
    assert persona.adapter is not None and persona.adapter.base_revision == TINY_REVISION
    done = spoken(root, persona)
    assert done.text in LINES.values()
    folder = root / "personas" / "baeu" / "1"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "persona.json",
        "training.json",
        "training_lines.txt",
    }
    assert (folder / "training_lines.txt").read_text().splitlines() == list(LINES.values())
    adapted = PeftModel.from_pretrained(base_model(), folder)
    ids = prompt_ids(tiny_tokenizer(), persona, Scene("배고프다"))
    assert len(ids) == done.num_prompt_tokens
    written = adapted.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        do_sample=False,
        max_new_tokens=60,
    )
    assert tiny_tokenizer().decode(written[0, len(ids) :], skip_special_tokens=True) == done.text


def test_adapter_is_refused_on_other_weights_than_it_was_trained_on(tmp_path: Path) -> None:
    task = make_task(tmp_path, max_updates=1)
    assert run_locally(task)
    persona = published(task, tmp_path / "root")

    with pytest.raises(BaseModelMismatch, match=TINY_REVISION):
        spoken(tmp_path / "root", persona, revision="random-1")


def test_finished_run_is_not_published_with_other_settings(tmp_path: Path) -> None:
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (tmp_path / name).touch()
    trained = {"arguments": persona_args().model_dump(mode="json")}
    (tmp_path / "training.json").write_text(json.dumps(trained))
    changed = persona_args(lora={"rank": 8, "alpha": 64, "dropout": 0.1})
    root = tmp_path / "root"
    character = Character(CHARACTER)
    material = Material.read(changed, character, write_rows(tmp_path / "rows.jsonl"))

    with pytest.raises(ConfigError, match="lora is .*'alpha': 64.* trained with .*'alpha': 32"):
        publish(changed, character, material, tmp_path, FolderStore(root))

    assert not root.exists()


def test_more_training_lines_than_engines_read_are_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (tmp_path / name).touch()
    args, character = persona_args(), Character(CHARACTER)
    trained = {"arguments": args.model_dump(mode="json")}
    (tmp_path / "training.json").write_text(json.dumps(trained))
    material = Material.read(args, character, write_rows(tmp_path / "rows.jsonl"))
    monkeypatch.setattr(publication, "MAX_LINES_BYTES", 10)
    root = tmp_path / "root"

    with pytest.raises(ConfigError, match=r"training_lines.txt would have .* at most 10: set"):
        publish(args, character, material, tmp_path, FolderStore(root))

    assert not root.exists()


def test_precisions_are_measured_against_that_of_training(tmp_path: Path) -> None:
    publishing = {"serves_in": ["bfloat16", "float32"], "licence": "MIT", "num_scenes": 1}
    task = make_task(tmp_path, max_updates=2, publishing=publishing)
    assert run_locally(task)

    adapter = published(task, tmp_path / "root").adapter

    assert adapter is not None
    assert [one.precision for one in adapter.serves_in] == ["float32", "bfloat16"]
    assert adapter.serves_in[0].max_logit_difference == 0
    assert 0 < adapter.serves_in[1].max_logit_difference < 1


def test_bad_rows_end_the_command_with_their_line_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_rows(tmp_path / "rows.jsonl")
    data.write_text(data.read_text() + '{"input": "상황: 밥"}\n배\n')

    status = main(_command(tmp_path, data))

    assert status == 1
    said = capsys.readouterr().err
    assert "line 6: instruction: Field required" in said
    assert "line 7: not JSON" in said


def test_command_trains_publishes_and_is_done_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_task(tmp_path)
    command = _command(tmp_path, tmp_path / "rows.jsonl")

    assert [main(command), main(command)] == [0, 0]

    said = capsys.readouterr().out
    assert "persona baeu@1\n" in said
    assert "persona baeu@1, which was published before\n" in said
    current = json.loads((tmp_path / "root" / "personas" / "baeu" / "current.json").read_text())
    assert current == {"version": "1"}
    updates = [entry["update"] for entry in read_metrics(tmp_path / "run", "train")]
    assert updates == list(range(8))


def _command(folder: Path, data: Path) -> list[str]:
    args = persona_args(base_model=str(folder / "tiny"))
    (folder / "config.yaml").write_text(yaml.safe_dump(args.model_dump(mode="json")))
    (folder / "baeu.json").write_text(json.dumps(CHARACTER))
    paths = {"config": "config.yaml", "persona": "baeu.json", "out": "run", "root": "root"}
    options = [part for name, file in paths.items() for part in (f"--{name}", str(folder / file))]
    return [*options, "--data", str(data), "--local"]


def test_longer_row_than_allowed_is_refused_not_cut(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_tokens is 40: 상황: "):
        train(make_task(tmp_path, max_tokens=40))


def test_hub_model_needs_a_commit() -> None:
    task = Task(
        persona_args(base_model="somebody/model", base_revision=None),
        Character(CHARACTER),
        Path("rows"),
        Path("run"),
    )
    with pytest.raises(ConfigError, match="name the commit of somebody/model"):
        task.base()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"version": "1"}, "version is written when"),
        ({"persona_id": "A"}, "persona_id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_character_that_is_no_persona_is_refused(
    tmp_path: Path, fields: dict[str, str], reason: str
) -> None:
    path = tmp_path / "character.json"
    path.write_text(json.dumps(CHARACTER | fields))
    with pytest.raises(ConfigError, match=reason):
        Character.load(path)


@pytest.mark.parametrize(
    ("text", "ended", "fault"),
    [
        ("밥 먹자!", True, None),
        ("밥 먹자!", False, "does not end"),
        ("...", True, "empty"),
        ("밥.\n### 입력", True, "prompt structure"),
        ("배우: 밥 먹자.", True, "role, quotation or aside"),
        ("“밥 먹자.”", True, "role, quotation or aside"),
        ("OK, 먹자.", True, "other script"),
        ("밥 " * 60 + "먹자.", True, "too long"),
        ("밥 먹", True, "unfinished sentence"),
    ],
)
def test_answer_that_is_no_line_is_told_apart(text: str, ended: bool, fault: str | None) -> None:
    persona = Character(CHARACTER).persona(base_model="tiny", instruction="너.", licence="MIT")
    assert fault_of(persona, text, ended=ended) == fault
