"""Sequences from first token to last: they join a running batch, step together, and leave it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.kv_cache import KVCache
from models.gpt_sovits.s1.sampling import SamplingRows, SamplingSettings, sample
from models.gpt_sovits.s1.static_step import SlotState, StaticSteps

# The reference stops after 1,500 tokens: a minute at 25 tokens a second.
MAX_NEW_TOKENS = 1500

FinishReason = Literal["end", "length", "not_finite"]


@dataclass(frozen=True)
class S1Request:
    """Everything that one sequence is generated from.

    Attributes:
        phoneme_ids: (phoneme,) int64: the prompt's, then the target's.
        bert_features: (phoneme, bert channel).
        prompt_tokens: (token,) int64 semantic tokens of the reference clip; may be empty.
        seed: any int64; the same request with the same seed gives the same tokens.
        max_new_tokens: the sequence ends here at the latest, with reason "length".
        generated_prefix: (token,) int64 this request has generated already; generation goes on with
            the token after as if it had not been interrupted.
    """

    phoneme_ids: Tensor
    bert_features: Tensor
    prompt_tokens: Tensor
    seed: int
    sampling: SamplingSettings = SamplingSettings()
    max_new_tokens: int = MAX_NEW_TOKENS
    generated_prefix: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    def __post_init__(self) -> None:
        if not 1 <= self.max_new_tokens <= MAX_NEW_TOKENS:
            raise ValueError(
                f"max_new_tokens must be 1 to {MAX_NEW_TOKENS}, not {self.max_new_tokens}"
            )
        if not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"seed must fit in 64 bits with a sign, not {self.seed}")
        if len(self.generated_prefix) >= self.max_new_tokens:
            raise ValueError(
                f"generated_prefix has {len(self.generated_prefix)} tokens; it must be shorter "
                f"than max_new_tokens = {self.max_new_tokens}"
            )

    @property
    def max_positions(self) -> int:
        """Cache positions the sequence can come to need (the last token is never fed back)."""
        return len(self.phoneme_ids) + len(self.prompt_tokens) + self.max_new_tokens - 1


@dataclass(frozen=True)
class StepResult:
    """What a step did to one sequence: a token, or its end, or a last token and its end.

    "not_finite": its logits were no numbers, as with weights that overflow; there is no token.
    """

    slot: int
    token: int | None
    finish_reason: FinishReason | None


class DecodingBatch:
    """The sequences that decode together, one per cache slot.

    It knows neither queues nor fairness: a scheduler decides who joins. Not thread-safe.

    Args:
        decoder: shared, read-only.
        num_slots: sequences at most.
        capacity: cache positions per sequence (see ``S1Request.max_positions``).
        has_static_steps: whether steps have fixed shapes (see ``static_step``), which pays off on a
            GPU, where they are captured; None for where that is.
    """

    def __init__(
        self,
        decoder: S1Decoder,
        num_slots: int,
        capacity: int,
        has_static_steps: bool | None = None,
    ) -> None:
        self.decoder = decoder
        device = decoder.device
        if has_static_steps is None:
            has_static_steps = device.type == "cuda"
        self._num_slots = num_slots
        num_rows = num_slots + has_static_steps  # and the scratch slot
        self.cache: KVCache = decoder.new_cache(num_rows, capacity)
        vocab_size = decoder.config.vocab_size
        self._requests: dict[int, S1Request] = {}
        self._steps = torch.zeros(num_rows, dtype=torch.int64, device=device)
        self._seeds = torch.zeros(num_rows, dtype=torch.int64, device=device)
        self._is_seen = torch.zeros(num_rows, vocab_size, dtype=torch.bool, device=device)
        self._logits = torch.zeros(num_rows, vocab_size, device=device)
        self._settings: SamplingRows | None = None  # of the active slots; None after a change
        self._static_steps = (
            StaticSteps(
                decoder,
                self.cache,
                SlotState(self._logits, self._seeds, self._steps, self._is_seen),
            )
            if has_static_steps
            else None
        )

    @property
    def active_slots(self) -> list[int]:
        """Slots with a sequence, ascending."""
        return sorted(self._requests)

    @property
    def num_free_slots(self) -> int:
        return self._num_slots - len(self._requests)

    def join(self, request: S1Request) -> int:
        """Prefill the request and let it take part in the next step.

        Returns:
            Its slot. The lowest free one, so that active slots stay close together.

        Raises:
            ValueError: no slot is free, or the request does not fit or is malformed.
        """
        if self.num_free_slots == 0:
            raise ValueError(f"all {self._num_slots} slots are taken")
        if request.max_positions > self.cache.capacity:
            raise ValueError(
                f"the request may need {request.max_positions} positions; "
                f"the cache has {self.cache.capacity} per sequence"
            )
        slot = next(s for s in range(self._num_slots) if s not in self._requests)
        logits = self.decoder.prefill(
            request.phoneme_ids, request.bert_features, request.prompt_tokens, self.cache, slot
        )
        prefix = request.generated_prefix
        if len(prefix):
            logits = self.decoder.replay(prefix, self.cache, slot)
        self._logits[slot] = logits
        self._seeds[slot] = request.seed
        self._steps[slot] = len(prefix)
        self._is_seen[slot] = False
        self._is_seen[slot, torch.cat((request.prompt_tokens, prefix))] = True
        self._requests[slot] = request
        self._settings = None
        return slot

    def resume(self, request: S1Request, tokens: Sequence[int]) -> int:
        """`join` behind all tokens the request has by now, its ``generated_prefix`` included."""
        return self.join(replace(request, generated_prefix=torch.tensor(tokens, dtype=torch.int64)))

    def leave(self, slot: int) -> None:
        """Free a slot before its sequence has ended.

        Raises:
            ValueError: the slot holds no sequence.
        """
        if slot not in self._requests:
            raise ValueError(f"slot {slot} holds no sequence")
        self._remove(slot)

    @torch.inference_mode()
    def step(self) -> list[StepResult]:
        """Draw one token for every active sequence; those that end free their slots."""
        slots = self.active_slots
        if not slots:
            return []
        if self._static_steps is not None:
            return self._static_step(self._static_steps, slots)
        rows = torch.tensor(slots, device=self.decoder.device)
        logits = self._logits[rows]
        sampled = sample(
            logits,
            self._is_seen[rows],
            self._stacked_settings(slots),
            self._seeds[rows],
            self._steps[rows],
        )
        self._steps[rows] += 1
        self._is_seen[rows, sampled.tokens] = True
        results = [
            self._result(*row)
            for row in zip(
                slots,
                logits.isfinite().all(1).tolist(),
                sampled.tokens.tolist(),
                sampled.is_end.tolist(),
                self._steps[rows].tolist(),
                strict=True,
            )
        ]
        self._decode_unfinished(results)
        return results

    def _static_step(self, steps: StaticSteps, slots: list[int]) -> list[StepResult]:
        drawn = steps.step(slots, [self._requests[slot].sampling for slot in slots])
        results = [
            self._result(slot, is_finite, token, is_end, num_new)
            for slot, is_finite, token, is_end, num_new in zip(
                slots,
                drawn.is_finite,
                drawn.tokens,
                drawn.is_end,
                (self._num_generated(slot) for slot in slots),
                strict=True,
            )
        ]
        for result in results:
            if result.finish_reason is not None:
                self._remove(result.slot)
            else:
                self.cache.advance([result.slot])
        return results

    def _num_generated(self, slot: int) -> int:
        """Tokens that a sequence has with the one of this step; a prefix counts."""
        request = self._requests[slot]
        num_known = len(request.phoneme_ids) + len(request.prompt_tokens)
        return self.cache.lengths[slot] - num_known + 1

    def _result(
        self, slot: int, is_finite: bool, token: int, is_end: bool, num_new: int
    ) -> StepResult:
        if not is_finite:
            # The next sequence of this slot must not find them beside its own.
            self.cache.clear(slot)
            return StepResult(slot, None, "not_finite")
        if is_end:
            return StepResult(slot, None, "end")
        is_last = num_new >= self._requests[slot].max_new_tokens
        return StepResult(slot, token, "length" if is_last else None)

    def _decode_unfinished(self, results: list[StepResult]) -> None:
        going_on = [result for result in results if result.finish_reason is None]
        for result in results:
            if result.finish_reason is not None:
                self._remove(result.slot)
        if going_on:
            slots = [result.slot for result in going_on]
            tokens = torch.tensor([result.token for result in going_on], device=self._seeds.device)
            self._logits[slots] = self.decoder.decode(tokens, slots, self.cache)

    def _remove(self, slot: int) -> None:
        del self._requests[slot]
        self._settings = None

    def _stacked_settings(self, slots: list[int]) -> SamplingRows:
        if self._settings is None:
            self._settings = SamplingRows.stack(
                [self._requests[slot].sampling for slot in slots],
                self.decoder.config.vocab_size,
                self.decoder.device,
            )
        return self._settings


@dataclass(frozen=True)
class Generation:
    """(token,) int64 of one sequence, a ``generated_prefix`` included; and why it ended."""

    tokens: Tensor
    finish_reason: FinishReason


def generate(decoder: S1Decoder, request: S1Request) -> Generation:
    """Generate one sequence by itself, from first token to last.

    Raises:
        ValueError: the request does not fit or is malformed, or its logits are not finite.
    """
    batch = DecodingBatch(decoder, num_slots=1, capacity=request.max_positions)
    batch.join(request)
    tokens: list[int] = request.generated_prefix.tolist()
    while True:
        (result,) = batch.step()
        if result.finish_reason == "not_finite":
            raise ValueError(f"the logits behind {len(tokens)} tokens are not finite")
        if result.token is not None:
            tokens.append(result.token)
        if result.finish_reason is not None:
            return Generation(torch.tensor(tokens, dtype=torch.int64), result.finish_reason)
