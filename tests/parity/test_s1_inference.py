"""S1 decoding against the reference: prefill and step logits, greedy tokens alone and batched.

Vectors and tolerances: tests/parity/data/gpt_sovits_v2/README.md, files ``s1_*_infer.npz``.
"""

import numpy as np
import pytest
import torch

from models.gpt_sovits.s1.generation import DecodingBatch, S1Request, generate
from models.gpt_sovits.s1.sampling import MIN_NEW_TOKENS, SamplingSettings
from tests.parity.s1_reference import GOLDEN, bert_features, decoder_for

LOGITS_TOLERANCE = 1e-4
# The reference stops once it has more than ``early_stop_num`` tokens.
EARLY_STOP_TOKENS = {"penalty": 44 + 1, "plain": 20 + 1, "batch": 30}

both_sizes = pytest.mark.parametrize("size", ["tiny", "full"])


def greedy(repetition_penalty: float) -> SamplingSettings:
    return SamplingSettings(top_k=1, repetition_penalty=repetition_penalty)


class Case:
    """The stored inputs of one size."""

    def __init__(self, size: str) -> None:
        self.size = size
        self.file_name = f"s1_{size}_infer.npz"
        self.arrays = GOLDEN.arrays(self.file_name)
        self.decoder = decoder_for(size, self.file_name)
        self.prompt = torch.from_numpy(self.arrays["prompt"][0])

    def request(
        self, max_new_tokens: int, repetition_penalty: float, has_prompt: bool = True
    ) -> S1Request:
        phoneme_ids = torch.from_numpy(self.arrays["x"][0])
        shape = (1, self.decoder.config.bert_dim, len(phoneme_ids))
        return S1Request(
            phoneme_ids,
            bert_features(f"s1/{self.size}/inf/bert", shape, self.file_name)[0],
            self.prompt if has_prompt else self.prompt[:0],
            seed=0,
            sampling=greedy(repetition_penalty),
            max_new_tokens=max_new_tokens,
        )

    def batch_request(self, row: int) -> S1Request:
        phoneme_ids = torch.from_numpy(self.arrays[f"batch_x{row}"])
        shape = (self.decoder.config.bert_dim, len(phoneme_ids))
        features = bert_features(f"s1/{self.size}/bat/bert{row}", shape, self.file_name)
        return S1Request(
            phoneme_ids,
            features,
            self.prompt,
            seed=row,
            sampling=greedy(1.35),
            max_new_tokens=EARLY_STOP_TOKENS["batch"],
        )


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {size: Case(size) for size in ("tiny", "full")}


@both_sizes
def test_prefill_logits_equal_the_reference(size: str, cases: dict[str, Case]) -> None:
    case = cases[size]
    request = case.request(1, 1.35)
    cache = case.decoder.new_cache(num_slots=1, capacity=request.max_positions)
    logits = case.decoder.prefill(
        request.phoneme_ids, request.bert_features, request.prompt_tokens, cache, slot=0
    )
    expected = case.arrays["prefill_logits"]  # without the end token, which cannot come first
    np.testing.assert_allclose(logits[:-1], expected, rtol=0, atol=LOGITS_TOLERANCE)


@both_sizes
@pytest.mark.parametrize(
    ("name", "has_prompt", "penalty", "limit"),
    [
        ("greedy_tokens_incl_prompt", True, 1.35, "penalty"),
        ("greedy_tokens_no_penalty", True, 1.0, "plain"),
        ("greedy_noprompt_tokens", False, 1.35, "plain"),
    ],
)
def test_greedy_tokens_equal_the_reference(
    size: str, name: str, has_prompt: bool, penalty: float, limit: str, cases: dict[str, Case]
) -> None:
    case = cases[size]
    request = case.request(EARLY_STOP_TOKENS[limit], penalty, has_prompt)
    generated = generate(case.decoder, request)
    tokens = torch.cat((request.prompt_tokens, generated.tokens))
    assert tokens.tolist() == case.arrays[name].tolist()


@both_sizes
def test_step_logits_equal_the_reference(size: str, cases: dict[str, Case]) -> None:
    case = cases[size]
    request = case.request(EARLY_STOP_TOKENS["penalty"], 1.35)
    tokens = torch.from_numpy(case.arrays["greedy_tokens_incl_prompt"])[len(case.prompt) :]
    cache = case.decoder.new_cache(num_slots=1, capacity=request.max_positions)
    logits = [
        case.decoder.prefill(
            request.phoneme_ids, request.bert_features, request.prompt_tokens, cache, slot=0
        )
    ]
    stored = _stored_step_logits(case)
    logits += [case.decoder.decode(tokens[k : k + 1], [0], cache)[0] for k in range(max(stored))]
    for step, expected in stored.items():
        got = logits[step][: len(expected)]
        np.testing.assert_allclose(got, expected, rtol=0, atol=LOGITS_TOLERANCE)


def _stored_step_logits(case: Case) -> dict[int, np.ndarray]:
    """Raw logits per step; before MIN_NEW_TOKENS the end token's column is absent or NaN."""
    if case.size == "full":
        rows = dict(enumerate(case.arrays["step_logits_first4"]))
        return rows | {13: case.arrays["step13_logits"]}
    rows = dict(enumerate(case.arrays["step_logits"]))
    return {k: row[:-1] if k < MIN_NEW_TOKENS else row for k, row in rows.items()}


@both_sizes
def test_batched_greedy_tokens_equal_the_reference(size: str, cases: dict[str, Case]) -> None:
    case = cases[size]
    requests = [case.batch_request(row) for row in range(len(case.arrays["batch_lens"]))]
    capacity = max(request.max_positions for request in requests)
    batch = DecodingBatch(case.decoder, num_slots=len(requests), capacity=capacity)
    generated: dict[int, list[int]] = {batch.join(request): [] for request in requests}
    while batch.active_slots:
        for result in batch.step():
            if result.token is not None:
                generated[result.slot].append(result.token)
    for slot, tokens in generated.items():
        expected = case.arrays["batch_tokens_padded"][slot]
        expected = expected[expected >= 0]
        assert case.prompt.tolist() + tokens == expected.tolist()
