"""Recordings and transcripts to what S1 and S2 are trained on.

    python -m training.prepare --config training/configs/prepare.yaml --input DATA --out DIR
    ray job submit --working-dir . -- python -m training.prepare --config ... (the same)

Start it again after an interruption and it goes on: recordings are prepared in shards, and a shard
is there as a whole or not at all. A recording that can't be used is left out and listed with its
reason in DIR/report.md. `--local` does the same without Ray. The files are described in
`training/data/prepared.py`; with several nodes the folders must be on storage that all of them see.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from models.assets import AssetError
from models.checkpoints.errors import CheckpointError
from training.data.clip import load_tools, prepare_source
from training.data.config import PrepareConfig
from training.data.mapping import Mapper, Row, map_here, map_with_ray
from training.data.prepared import FORMAT_VERSION, MANIFEST, TOKENIZER, Manifest
from training.data.report import Report
from training.data.shards import (
    ClipRecord,
    is_done,
    make_folders,
    part_name,
    read_record,
    sources_of,
    write_shard,
    write_tokens,
)
from training.data.sources import Rejection, Shard, find_sources, shards_of
from training.data.tokenizer import Tokenizer, fit_state, state_of_checkpoint
from training.data.writing import replace_text, write_clip_lists
from training.loops.running import only_run
from training.loops.strict import ConfigError, read_config

_SETTINGS = "settings.json"


class PrepareShard:
    """A worker that prepares the recordings of a shard."""

    def __init__(self, config: Row, out: str) -> None:
        self._config = PrepareConfig.model_validate(config)
        self._out = Path(out)
        self._tools = load_tools(self._config)

    def __call__(self, row: Row) -> Row:
        shard = Shard.from_json(row["shard"])
        entries = (
            entry
            for source in shard.sources
            for entry in prepare_source(source, self._config, self._tools)
        )
        write_shard(self._out, shard.key, self._config.output, entries)
        found = list(read_record(self._out, shard.key))
        kept = sum(isinstance(entry, ClipRecord) for entry in found)
        return {"kept": kept, "dropped": len(found) - kept}


class TokenizeShard:
    """A worker that turns the stored features of a shard into semantic tokens."""

    def __init__(self, config: Row, out: str) -> None:
        self._config = PrepareConfig.model_validate(config)
        self._out = Path(out)
        self._tokenizer = Tokenizer.read(self._out / TOKENIZER)

    def __call__(self, row: Row) -> Row:
        clips = sources_of(self._out, row["key"], self._config.output)
        tokens = [
            (clip.name, self._tokenizer.tokens(source.ssl_features().float()).tolist())
            for clip, source in clips
        ]
        write_tokens(self._out, row["key"], tokens)
        return {"kept": len(tokens), "dropped": 0}


def prepare(config: PrepareConfig, out: Path, run: Mapper = map_here) -> Report:
    """Prepare what is not prepared yet; complete when it returns.

    Args:
        config: what to prepare and how, with an input.
        out: folder of the prepared corpus; made if missing.
        run: how shards are worked on.

    Raises:
        ConfigError: the input is missing, nothing of it can be used, the tokens are those of
            another encoder, or the folder holds a corpus of other settings.
        CheckpointError: the checkpoint whose tokens are asked for can't be read.
    """
    codebook = config.tokens_of and state_of_checkpoint(config.tokens_of, config.ssl.encoder)
    sources, rejections = find_sources(config.input)
    shards = shards_of(sources, config.sources_per_shard)
    make_folders(out, config.output)
    with only_run(out):
        _fix_settings(config, out)
        (out / MANIFEST).unlink(missing_ok=True)
        arguments = {"config": config.model_dump(mode="json"), "out": str(out)}
        todo = [shard for shard in shards if not is_done(out, shard.key)]
        print(f"{len(sources)} recordings; {len(todo)} of {len(shards)} shards to do", flush=True)
        rows = [{"shard": shard.to_json()} for shard in todo]
        _work_on("prepared", run, PrepareShard, arguments, rows)
        keys = [shard.key for shard in shards]
        report = _report(out, keys, rejections)
        report.write(out, config)
        if not report.num_clips:
            raise ConfigError(f"no recording could be used; {out / 'report.md'} says why")
        tokenizer = Tokenizer(codebook or _fitted(config, out, keys))
        tokenizer.save(out / TOKENIZER)
        _work_on("tokenized", run, TokenizeShard, arguments, [{"key": key} for key in keys])
        write_clip_lists(out, keys, config.output)
        _write_manifest(config, out, keys, report, tokenizer)
        return report


def _work_on(
    what: str,
    run: Mapper,
    worker: type[PrepareShard] | type[TokenizeShard],
    arguments: Row,
    rows: list[Row],
) -> None:
    """Run all rows, with a line for a person after each."""
    if not rows:
        return
    start = time.monotonic()
    kept = dropped = 0
    for num_done, result in enumerate(run(worker, arguments, rows), 1):
        kept, dropped = kept + result["kept"], dropped + result["dropped"]
        elapsed_s = time.monotonic() - start
        left_s = elapsed_s / num_done * (len(rows) - num_done)
        print(
            f"{what}: shard {num_done} of {len(rows)}, {kept} clips, {dropped} dropped, "
            f"{elapsed_s / max(1, kept + dropped):.2f} s a clip, {left_s / 60:.0f} min left",
            flush=True,
        )


def _fitted(config: PrepareConfig, out: Path, keys: list[str]) -> dict[str, Tensor]:
    assert config.fit_tokens is not None  # the configuration has one of the two
    print(f"fitting {config.fit_tokens.num_centres} tokens", flush=True)
    clips = [
        (clip.num_frames, source)
        for key in keys
        for clip, source in sources_of(out, key, config.output)
    ]
    return fit_state(clips, config.fit_tokens)


def _write_manifest(
    config: PrepareConfig, out: Path, keys: list[str], report: Report, tokenizer: Tokenizer
) -> None:
    is_parquet = config.output == "parquet"
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        output=config.output,
        ssl=config.ssl.encoder,
        ssl_dim=tokenizer.dim,
        codebook_size=tokenizer.codebook_size,
        num_clips=report.num_clips,
        total_s=report.total_s,
        shards=[part_name(key) for key in keys] if is_parquet else [],
    )
    replace_text(out / MANIFEST, json.dumps(asdict(manifest), indent=1))


def _report(out: Path, keys: list[str], rejections: list[Rejection]) -> Report:
    report = Report()
    for rejection in rejections:
        report.add(rejection)
    for key in keys:
        for entry in read_record(out, key):
            report.add(entry)
    return report


def _fix_settings(config: PrepareConfig, out: Path) -> None:
    path = out / _SETTINGS
    if not path.exists():
        replace_text(path, config.settings())
    elif path.read_text(encoding="utf-8") != config.settings():
        raise ConfigError(f"{out} was prepared with other settings; choose a new folder")


def _with_paths(config: PrepareConfig, source: Path | None, out: Path | None) -> PrepareConfig:
    """The configuration with what the command line names, all paths absolute."""
    content = config.model_dump()
    content["input"]["path"] = source or config.input.path
    content["out"] = out or config.out
    places = (
        (content["input"], "path"),
        (content["ssl"], "folder"),
        (content, "out"),
        (content, "tokens_of"),
    )
    for holder, name in places:
        if holder[name] is not None:
            holder[name] = Path(holder[name]).absolute()
    return PrepareConfig.model_validate(content)


def main() -> None:
    """Prepare what a configuration asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m training.prepare", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--input", type=Path, help="the list or data folder, instead of input.path")
    parser.add_argument("--out", type=Path, help="folder to write to, instead of out")
    parser.add_argument("--local", action="store_true", help="in this process, without Ray")
    args = parser.parse_args()
    try:
        config = _with_paths(read_config(args.config, PrepareConfig), args.input, args.out)
        if config.out is None:
            raise ConfigError("no folder to write to: name it as out or with --out")
        run = map_here if args.local else map_with_ray(config.workers, config.threads_per_worker)
        report = prepare(config, config.out, run)
    except (AssetError, CheckpointError, ConfigError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped; the same line goes on from here")
    print(
        f"done: {report.num_clips} clips, {report.total_s / 3600:.2f} h, "
        f"{len(report.rejections)} dropped; see {config.out / 'report.md'}"
    )


if __name__ == "__main__":
    main()
