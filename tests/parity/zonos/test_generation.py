"""Whole generations at temperature 0 against the reference's, with guidance, prompts and ends."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.zonos.codes import END_CODE
from models.zonos.columns import ColumnWriter
from models.zonos.generation import ZonosRequest, generate
from models.zonos.guidance import guided
from models.zonos.sampling import SamplingRows, SamplingSettings, sample
from tests.parity.zonos.comparison import relative_error
from tests.parity.zonos.fill import GOLDEN
from tests.parity.zonos.reference import (
    decoder_for,
    frames_of,
    network_for,
    prefix_for,
    prompt_for,
)

FILE_NAME = "generate.json"
CASES: dict[str, dict[str, Any]] = GOLDEN.json(FILE_NAME)
NUM_LOGITS = 1025  # the reference pads by one more, which can't be drawn

every_case = pytest.mark.parametrize("name", CASES)


def request_of(name: str, has_upstream_writes: bool) -> ZonosRequest:
    case = CASES[name]
    return ZonosRequest(
        prefix_for(case, FILE_NAME),
        seed=0,
        prompt=prompt_for(case, FILE_NAME),
        sampling=SamplingSettings(**case["sampling"]),
        guidance_scale=case["cfg_scale"],
        max_new_frames=case["max_new_tokens"],
        has_upstream_writes=has_upstream_writes,
    )


@every_case
@pytest.mark.parametrize("codes_key", ["codes_aligned", "codes"])
def test_codes_equal_the_reference(name: str, codes_key: str) -> None:
    case = CASES[name]
    request = request_of(name, has_upstream_writes=codes_key == "codes")
    generation = generate(decoder_for(FILE_NAME, case["config"], case["weight_edit"]), request)
    frames = [*request.prompt, *generation.frames]
    expected = frames_of(case[codes_key])
    # A caller that stopped has fewer; those it has are the first ones.
    has_stopped = case["stop_after_callbacks"] is not None
    assert (frames[: len(expected)] if has_stopped else frames) == expected


def plain_loop(name: str) -> Iterator[tuple[Tensor, list[int]]]:
    """Guided logits and the column drawn from them, one by one, without cache or batch."""
    request = request_of(name, has_upstream_writes=True)
    network = network_for(FILE_NAME, CASES[name]["config"], CASES[name]["weight_edit"])
    rows = SamplingRows.stack([request.sampling], torch.device("cpu"))
    writer = ColumnWriter(request.prompt, request.max_new_frames, has_upstream_writes=True)
    zero = torch.zeros(1, dtype=torch.int64)
    while True:
        with torch.inference_mode():
            logits = network(request.prefix, torch.tensor(writer.columns))
        logits = guided(logits, request.guidance_scale)
        window = request.sampling.repetition_penalty_window
        history = torch.tensor([writer.history(window, window)])
        (drawn,) = sample(logits[None], history, rows, seeds=zero, steps=zero).tolist()
        written = writer.write(drawn)
        yield logits, writer.columns[-1]
        if written.finish_reason is not None:
            return


@every_case
def test_every_column_of_the_loop_equals_the_reference(name: str) -> None:
    expected = CASES[name]["loop_frames"]
    # The first sample stands before the reference's loop. A caller may have stopped it; else it
    # runs one step more, after the last frame is complete.
    columns = [column for _, column in islice(plain_loop(name), 1 + len(expected))][1:]
    assert len(columns) >= len(expected) - 1
    assert columns == expected[: len(columns)]


@every_case
def test_logits_of_the_first_three_samples_equal_the_reference(name: str) -> None:
    golden = GOLDEN.arrays("generate_logits.npz")
    for sample_idx, (logits, _) in enumerate(islice(plain_loop(name), 3)):
        expected = golden[f"{name}.logits{sample_idx}"][0, :, :NUM_LOGITS]
        if sample_idx > 0:  # stored after the end code was forbidden to codebooks 1 to 8
            assert np.isneginf(expected[1:, END_CODE]).all()
            logits[1:, END_CODE] = 0.0
            expected[1:, END_CODE] = 0.0
        assert relative_error(logits, expected) <= 1e-5
