"""The transformer against the reference: every layer, the last norm, the logits, two steps on."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.zonos.guidance import guided
from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.network import Zonos
from tests.parity.zonos.comparison import relative_error
from tests.parity.zonos.fill import GOLDEN
from tests.parity.zonos.reference import columns_of, network_for

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
TOLERANCES = {"fp32": 1e-5, "bf16": 3e-2}  # as documented with the vectors
STEPS = ("step0", "step1")
NUM_LOGITS = 1025  # the reference pads by one more, which can't be drawn

both_precisions = pytest.mark.parametrize("precision", ["fp32", "bf16"])


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return GOLDEN.arrays("backbone.npz")


@pytest.fixture(scope="module")
def networks() -> dict[str, Zonos]:
    shared = network_for("backbone.npz")
    return {name: copy.deepcopy(shared).to(dtype) for name, dtype in DTYPES.items()}


def outputs_of(
    layers: nn.ModuleList, network: Zonos, prefix: Tensor, columns: Tensor
) -> list[Tensor]:
    outputs: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
        for layer in layers
    ]
    with torch.inference_mode():
        network(prefix, columns)
    for hook in hooks:
        hook.remove()
    return outputs


@both_precisions
def test_embedded_columns_equal_the_reference(
    precision: str, golden: dict[str, np.ndarray], networks: dict[str, Zonos]
) -> None:
    embedded = networks[precision].embed_columns(columns_of(golden["delayed_ids"]))
    assert relative_error(embedded[None], golden[f"{precision}.code_embeds"]) <= 1e-6


@both_precisions
def test_every_layer_of_a_whole_sequence_equals_the_reference(
    precision: str, golden: dict[str, np.ndarray], networks: dict[str, Zonos]
) -> None:
    network = networks[precision]
    ids = [golden["delayed_ids"], *(golden[f"{step}.ids"] for step in STEPS)]
    columns = torch.cat([columns_of(codes) for codes in ids])
    prefix = torch.from_numpy(golden[f"{precision}.cond"]).to(DTYPES[precision])

    outputs = outputs_of(network.backbone.layers, network, prefix, columns)

    for layer_idx, output in enumerate(outputs):
        parts = [golden[f"{precision}.{p}.layer{layer_idx}"] for p in ("prefill", *STEPS)]
        expected = np.concatenate(parts, axis=1)
        assert relative_error(output, expected) <= TOLERANCES[precision]


@both_precisions
def test_the_last_norm_equals_the_reference(
    precision: str, golden: dict[str, np.ndarray], networks: dict[str, Zonos]
) -> None:
    network = networks[precision]
    prefix = torch.from_numpy(golden[f"{precision}.cond"]).to(DTYPES[precision])
    (normed,) = outputs_of(
        nn.ModuleList([network.backbone.norm_f]), network, prefix, columns_of(golden["delayed_ids"])
    )
    expected = golden[f"{precision}.prefill.norm_f_last"]
    assert relative_error(normed[:, -1], expected) <= TOLERANCES[precision]


@both_precisions
def test_logits_of_prefill_and_steps_equal_the_reference(
    precision: str, golden: dict[str, np.ndarray], networks: dict[str, Zonos]
) -> None:
    decoder = GuidedDecoder(networks[precision], DTYPES[precision])
    tolerance = TOLERANCES[precision]
    cache = decoder.new_cache(num_slots=2, capacity=64)
    prefix = torch.from_numpy(golden[f"{precision}.cond"])

    logits = decoder.prefill(prefix, columns_of(golden["delayed_ids"]), cache, slot=1)

    of_each = golden[f"{precision}.prefill.logits_cond_uncond"][..., :NUM_LOGITS]
    combined = golden[f"{precision}.prefill.logits_cfg2"][0, :, :NUM_LOGITS]
    assert relative_error(logits, of_each) <= tolerance
    assert relative_error(guided(logits, 2.0), combined) <= tolerance
    for step in STEPS:
        (logits,) = decoder.decode(columns_of(golden[f"{step}.ids"]), [1], cache)
        combined = golden[f"{precision}.{step}.logits_cfg2"][0, :, :NUM_LOGITS]
        assert relative_error(guided(logits, 2.0), combined) <= tolerance
