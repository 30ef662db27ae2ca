"""Files as upstream writes them, in small: read, refused, converted to our format and back."""

import json
import sys
import types
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.checkpoints import (
    Checkpoint,
    CheckpointError,
    Kind,
    UnsupportedVersionError,
    load_s1,
    load_s2,
    read_checkpoint,
    read_upstream,
    write_upstream,
)
from models.convert import main as convert
from models.gpt_sovits.s1 import upstream_keys as s1_keys
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s2 import upstream_keys as s2_keys
from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.discriminator import Discriminators
from models.gpt_sovits.s2.synthesizer import Synthesizer

S1_MODEL = {
    "vocab_size": 33, "phoneme_vocab_size": 50, "embedding_dim": 32, "hidden_dim": 32, "head": 4,
    "linear_units": 9, "n_layer": 2, "dropout": 0, "EOS": 32, "random_bert": 0,
}  # fmt: skip
S2_MODEL = {
    "inter_channels": 16, "hidden_channels": 16, "filter_channels": 24, "n_heads": 2,
    "n_layers": 2, "kernel_size": 3, "p_dropout": 0.1, "resblock": "1",
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "upsample_rates": [10, 8, 2, 2, 2], "upsample_initial_channel": 32,
    "upsample_kernel_sizes": [16, 16, 8, 2, 2], "gin_channels": 16,
    "semantic_frame_rate": "25hz", "freeze_quantizer": True, "version": "v2",
}  # fmt: skip
S2_DATA = {"sampling_rate": 32000, "filter_length": 2048, "hop_length": 640}
S2_CONFIG = S2Config.from_upstream(S2_MODEL, S2_DATA, ssl_dim=24, codebook_size=40)

Build = Callable[..., dict[str, Any]]


def weights_of(module: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    return {key: tensor.detach().to(dtype) for key, tensor in module.state_dict().items()}


def s1_file(dtype: torch.dtype = torch.float16) -> dict[str, Any]:
    torch.manual_seed(0)
    network = Text2Semantic(S1Config.from_upstream(S1_MODEL, bert_dim=16))
    weights = s1_keys.to_upstream(weights_of(network, dtype))
    return {
        "weight": {f"model.{key}": tensor for key, tensor in weights.items()},
        "config": {"data": {"max_sec": 54, "pad_val": 1024}, "model": dict(S1_MODEL)},
        "info": "GPT-e15",
    }


def s2_export(dtype: torch.dtype = torch.float16) -> dict[str, Any]:
    torch.manual_seed(0)
    return {
        "weight": s2_keys.to_upstream(weights_of(Synthesizer(S2_CONFIG), dtype)),
        "config": {"train": {"seed": 1234}, "data": dict(S2_DATA), "model": dict(S2_MODEL)},
        "info": "8epoch_1000iteration",
    }


def training_file(module: nn.Module) -> dict[str, Any]:
    """With the state of an optimizer that has made a step."""
    optimizer = torch.optim.AdamW(module.parameters(), betas=(0.8, 0.99))
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return {
        "model": s2_keys.to_upstream(weights_of(module, torch.float32)),
        "iteration": 7,
        "optimizer": optimizer.state_dict(),
        "learning_rate": 1e-4,
    }


def generator_training_file() -> dict[str, Any]:
    return training_file(Synthesizer(S2_CONFIG, has_posterior=True))


def discriminator_training_file() -> dict[str, Any]:
    return training_file(Discriminators(width_divisor=8))


def pretrained_discriminators() -> dict[str, Any]:
    """Published ones hold nothing beside the weights."""
    content = discriminator_training_file()
    return {"weight": content["model"]}


def saved(tmp_path: Path, content: Any, name: str = "file.pth") -> Path:
    path = tmp_path / name
    torch.save(content, path)
    return path


def assert_equal_trees(got: Any, expected: Any) -> None:
    """Equal in every value, type and bit; ordered dictionaries count as dictionaries."""
    if isinstance(expected, Tensor):
        assert got.dtype == expected.dtype and torch.equal(got, expected)
    elif isinstance(expected, dict):
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            assert_equal_trees(got[key], value)
    elif isinstance(expected, list | tuple):
        assert type(got) is type(expected) and len(got) == len(expected)
        for got_item, item in zip(got, expected, strict=True):
            assert_equal_trees(got_item, item)
    else:
        assert type(got) is type(expected) and got == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_an_s1_checkpoint_builds_the_network_it_was_saved_from(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    content = s1_file(dtype)
    checkpoint = read_upstream(saved(tmp_path, content, "voice-e15.ckpt"))
    network = checkpoint.build()
    assert checkpoint.kind is Kind.S1
    assert checkpoint.config == S1Config.from_upstream(S1_MODEL, bert_dim=16)
    for key, tensor in s1_keys.to_upstream(network.state_dict()).items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, content["weight"][f"model.{key}"].float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_an_s2_export_builds_the_network_it_was_saved_from(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    content = s2_export(dtype)
    path = saved(tmp_path, content)
    assert read_upstream(path).config == S2_CONFIG
    network = load_s2(path)
    assert network.posterior_encoder is None
    for key, tensor in s2_keys.to_upstream(network.state_dict()).items():
        assert torch.equal(tensor, content["weight"][key].float())


def test_training_files_of_generator_and_discriminators_are_read(tmp_path: Path) -> None:
    generator = read_upstream(saved(tmp_path, generator_training_file()), S2_CONFIG)
    assert generator.kind is Kind.S2
    assert generator.has_posterior
    generator.build()
    discriminators = read_upstream(saved(tmp_path, discriminator_training_file()))
    assert discriminators.kind is Kind.S2_DISCRIMINATORS
    discriminators.build()


def test_settings_pickled_as_upstreams_own_class_are_read_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utils = types.ModuleType("utils")

    class HParams:
        def __init__(self, **settings: Any) -> None:
            for name, value in settings.items():
                setattr(self, name, HParams(**value) if isinstance(value, dict) else value)

    HParams.__module__, HParams.__qualname__ = "utils", "HParams"
    utils.HParams = HParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "utils", utils)
    plain = s2_export()
    path = saved(tmp_path, plain | {"config": HParams(**plain["config"])})
    monkeypatch.delitem(sys.modules, "utils")

    checkpoint = read_upstream(path)
    assert checkpoint.config == S2_CONFIG
    assert_equal_trees(checkpoint.extras["config"], plain["config"])


@pytest.mark.parametrize(
    "build",
    [
        s1_file,
        s2_export,
        generator_training_file,
        discriminator_training_file,
        pretrained_discriminators,
    ],
)
def test_conversion_to_our_format_and_back_loses_nothing(tmp_path: Path, build: Build) -> None:
    content = build()
    source = saved(tmp_path, content)
    native, back = tmp_path / "voice.json", tmp_path / "back.pth"
    config = tmp_path / "config.json"
    options = ["--config", str(config)] if build is generator_training_file else []
    config.write_text(json.dumps(asdict(S2_CONFIG)))
    assert convert([str(source), str(native), *options]) == 0
    assert convert([str(native), str(back)]) == 0
    assert_equal_trees(torch.load(back, weights_only=True), content)


@pytest.mark.parametrize("build", [s1_file, s2_export, pretrained_discriminators])
def test_a_checkpoint_of_our_own_becomes_an_export_that_reads_the_same(
    tmp_path: Path, build: Build
) -> None:
    read = read_upstream(saved(tmp_path, build()))
    own = Checkpoint(read.kind, read.config, read.state)
    write_upstream(tmp_path / "own.pth", own)
    again = read_checkpoint(tmp_path / "own.pth")
    assert again.config == own.config
    assert_equal_trees(again.state, own.state)


def test_a_loader_refuses_the_other_stage(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not an S2 checkpoint but one of Text2Semantic"):
        load_s2(saved(tmp_path, s1_file()))
    with pytest.raises(CheckpointError, match="is not an S1 checkpoint but one of Synthesizer"):
        load_s1(saved(tmp_path, s2_export()))


@pytest.mark.parametrize(
    ("build", "key", "value", "message"),
    [
        (s1_file, "model.ar_predict_layer.weight", None, "lacks weights: output.weight"),
        (s1_file, "model.extra.weight", torch.zeros(1), "unknown weights: extra.weight"),
        (s1_file, "model.bert_proj.bias", torch.zeros(31), r"shape \(31,\); .* ask for \(32,\)"),
        (s1_file, "model.bert_proj.bias", torch.zeros(32).int(), "torch.int32, not a floating"),
        (s1_file, "model.bert_proj.bias", torch.full((32,), torch.nan), "are not finite"),
        (s1_file, "model.bert_proj.bias", "text", "is a str, not a tensor"),
        (s1_file, "model.bert_proj.bias", torch.zeros(1).expand(32), "not a dense contiguous"),
        (s2_export, "dec.conv_pre.bias", None, "lacks weights: generator.conv_pre.bias"),
        (s2_export, "enc_q.pre.bias", torch.zeros(16), "lacks weights: posterior_encoder"),
        (s2_export, "dec.conv_pre.bias", torch.zeros(5), r"has shape \(5,\)"),
    ],
)
def test_a_wrong_weight_is_named(
    tmp_path: Path, build: Build, key: str, value: Any, message: str
) -> None:
    content = build()
    content["weight"].pop(key, None)
    if value is not None:
        content["weight"][key] = value
    path = saved(tmp_path, content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_upstream(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("build", "section", "entry", "value", "message"),
    [
        (s1_file, "model", "n_layer", 10**9, "num_layers is 1000000000; at most 256"),
        (s1_file, "model", "hidden_dim", 10**9, "embedding_dim is 32; it must equal hidden_dim"),
        (s1_file, "model", "n_layer", "many", "bad configuration"),
        (s1_file, "model", "head", 5, "must be a multiple"),
        (s1_file, "model", "EOS", 3, "EOS is 3; it must be the last token, 32"),
        (s2_export, "model", "resblock", "2", "resblock is 2"),
        (s2_export, "model", "n_layers", 10**9, "num_layers is 1000000000; at most 256"),
        (s2_export, "data", "hop_length", 320, "hop_length is 320"),
    ],
)
def test_a_wrong_configuration_is_named(
    tmp_path: Path, build: Build, section: str, entry: str, value: Any, message: str
) -> None:
    content = build()
    content["config"][section][entry] = value
    with pytest.raises(CheckpointError, match=message):
        read_upstream(saved(tmp_path, content))


def test_lists_of_sizes_that_would_take_minutes_to_compare_are_refused(tmp_path: Path) -> None:
    content = s2_export()
    content["config"]["model"] |= {
        "resblock_kernel_sizes": [3] * 200, "resblock_dilation_sizes": [[1]] * 200,
    }  # fmt: skip
    with pytest.raises(CheckpointError, match="has 200 entries; at most 32"):
        read_upstream(saved(tmp_path, content))


@pytest.mark.parametrize("missing", ["config", "weight"])
def test_a_missing_part_is_named(tmp_path: Path, missing: str) -> None:
    content = s1_file()
    del content[missing]
    with pytest.raises(CheckpointError, match="'model'"):
        read_upstream(saved(tmp_path, content))


@pytest.mark.parametrize(
    ("mark", "version"),
    [(b"03", "v3 LoRA"), (b"04", "v4 LoRA"), (b"05", "v2Pro"), (b"06", "v2ProPlus")],
)
def test_another_version_is_refused_by_the_mark_in_its_header(
    tmp_path: Path, mark: bytes, version: str
) -> None:
    path = saved(tmp_path, s2_export())
    path.write_bytes(mark + path.read_bytes()[2:])
    with pytest.raises(UnsupportedVersionError, match=f"GPT-SoVITS {version} checkpoint"):
        read_upstream(path)


def _v1_s1() -> dict[str, Any]:
    content = s1_file()
    content["config"]["model"]["phoneme_vocab_size"] = 512
    return content


def _with_weight(key: str, value: Tensor) -> Callable[[], dict[str, Any]]:
    def build() -> dict[str, Any]:
        content = s2_export()
        content["weight"][key] = value
        return content

    return build


def _v4_by_config() -> dict[str, Any]:
    content = s2_export()
    content["config"]["model"]["version"] = "v4"
    return content


@pytest.mark.parametrize(
    ("build", "version"),
    [
        (_v1_s1, "v1"),
        (_with_weight("enc_p.text_embedding.weight", torch.zeros(322, 16)), "v1"),
        (_with_weight("cfm.estimator.weight", torch.zeros(1)), "v3 or v4"),
        (_with_weight("sv_emb.weight", torch.zeros(1)), "v2Pro or v2ProPlus"),
        (_with_weight("discriminators.6.convs.0.bias", torch.zeros(1)), "v2Pro or v2ProPlus"),
        (_v4_by_config, "v4"),
    ],
)
def test_another_version_is_refused_by_what_it_holds(
    tmp_path: Path, build: Build, version: str
) -> None:
    with pytest.raises(UnsupportedVersionError) as caught:
        read_upstream(saved(tmp_path, build()))
    assert caught.value.version == version


def test_a_conversion_that_fails_says_why_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "empty.ckpt"
    source.write_bytes(b"")
    assert convert([str(source), str(tmp_path / "out.json")]) == 1
    assert "empty.ckpt: the file is empty" in capsys.readouterr().err
    assert convert([str(source), str(tmp_path / "out.ckpt")]) == 1
    assert "exactly one of the two names must end in .json" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]


def test_a_target_that_cannot_be_written_is_named_and_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(tmp_path, s1_file(), "voice.ckpt")
    native = tmp_path / "voice.json"
    assert convert([str(source), str(native)]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for pair in (
        (source, tmp_path / "absent" / "voice.json"),
        (native, tmp_path / "absent" / "voice.ckpt"),
    ):
        assert convert([str(path) for path in pair]) == 1
        assert str(tmp_path / "absent") in capsys.readouterr().err
    assert convert([str(native), str(tmp_path / "voice.safetensors")]) == 1
    assert "voice.safetensors: is the name of weights" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_entry_our_format_cannot_keep_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(tmp_path, s1_file() | {"info": "\ud800"}, "voice.ckpt")  # no character
    assert convert([str(source), str(tmp_path / "voice.json")]) == 1
    assert "voice.ckpt: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]
