"""How well S1 does on sentences it never saw.

A low loss is not speech: continuing audio is easy without reading a text. So some sentences are
also generated freely, and compared with the true tokens in length and in order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import DecodingBatch, S1Request
from models.gpt_sovits.s1.loss import next_token_targets, teacher_forced_logits, top_k_accuracy
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s1.sampling import SamplingSettings
from training.loops.clips import Clip
from training.loops.device import moved
from training.loops.journal import Journal
from training.loops.s1.args import S1Args
from training.loops.s1.data import Utterance, collated, joined, utterance
from training.loops.s1.objective import cross_entropy, real_targets

_BATCH_SIZE = 8
# Careful sampling: what the network is sure of, without the penalty that hides loops.
_SAMPLING = SamplingSettings(top_k=5, temperature=0.7, repetition_penalty=1.0)
_MAX_LENGTH_RATIO = 2.0


class S1Validation:
    """Held-out clips, and what is measured on them.

    Args:
        clips: held out; undisturbed ones among them are used.
        config: of the network.
        args: of the run.
        device: where the network is.
    """

    def __init__(
        self, clips: Sequence[Clip], config: S1Config, args: S1Args, device: torch.device
    ) -> None:
        clean = [clip for clip in clips if not clip.is_augmented]
        self._clips = clean[: args.validation.max_clips]
        self._num_samples = args.validation.num_samples
        self._best_by = args.best_by
        self._config = config
        self._device = device

    def measure(self, network: Text2Semantic, journal: Journal, update: int) -> dict[str, float]:
        """Loss and accuracy with true tokens before, then free running; eval mode throughout."""
        network.eval()
        with torch.inference_mode():
            values = self._teacher_forced(network)
        if self._num_samples:
            values |= self._free_running(network)
        name = "free_running_distance" if self._best_by == "free_running" else "loss"
        return values | {"better_below": values[name]}

    def _teacher_forced(self, network: Text2Semantic) -> dict[str, float]:
        items = sorted(map(utterance, self._clips), key=lambda item: len(item.tokens))
        total, num_targets, num_top1, num_top3 = 0.0, 0, 0.0, 0.0
        for start in range(0, len(items), _BATCH_SIZE):
            batch = moved(collated(items[start : start + _BATCH_SIZE], self._config), self._device)
            targets = next_token_targets(batch.tokens, batch.token_lens, self._config.end_token)
            logits = teacher_forced_logits(network, batch, targets)
            real = real_targets(batch, targets)
            total += float(cross_entropy(logits, real, label_smoothing=0.0))
            num_targets += int((real >= 0).sum())
            num_tokens = int(batch.token_lens.sum())
            end = self._config.end_token
            num_top1 += num_tokens * float(top_k_accuracy(logits, targets, end, k=1))
            num_top3 += num_tokens * float(top_k_accuracy(logits, targets, end, k=3))
        tokens = num_targets - len(items)
        return {
            "loss": total / num_targets,
            "top_1": num_top1 / tokens,
            "top_3": num_top3 / tokens,
        }

    def _free_running(self, network: Text2Semantic) -> dict[str, float]:
        """Sentences from their text alone, each after a prompt of its speaker if there is one."""
        chosen = self._clips[: self._num_samples]
        truths = [torch.tensor(clip.semantic_tokens) for clip in chosen]
        requests = [self._request(clip, index) for index, clip in enumerate(chosen)]
        generated, ended = generate_together(S1Decoder(network), requests)
        ratios = [len(made) / len(true) for made, true in zip(generated, truths, strict=True)]
        distances = [_distance(made, true) for made, true in zip(generated, truths, strict=True)]
        return {
            "free_running_distance": sum(distances) / len(distances),
            "length_ratio": sum(ratios) / len(ratios),
            "length_ratio_min": min(ratios),
            "length_ratio_max": max(ratios),
            "ended": sum(ended) / len(ended),
        }

    def _request(self, clip: Clip, index: int) -> S1Request:
        prompt = self._prompt(clip)
        target = utterance(clip)
        text = joined([prompt, target]).phoneme_ids if prompt else target.phoneme_ids
        return S1Request(
            phoneme_ids=text.to(self._device),
            bert_features=torch.zeros(len(text), self._config.bert_dim, device=self._device),
            prompt_tokens=(prompt.tokens if prompt else target.tokens[:0]).to(self._device),
            seed=index,
            sampling=_SAMPLING,
            max_new_tokens=max(20, int(_MAX_LENGTH_RATIO * len(target.tokens))),
        )

    def _prompt(self, clip: Clip) -> Utterance | None:
        for other in self._clips:
            if other.speaker == clip.speaker and other.text != clip.text:
                return utterance(other)
        return None


def generate_together(
    decoder: S1Decoder, requests: Sequence[S1Request]
) -> tuple[list[Tensor], list[bool]]:
    """The tokens of every request, and whether it ended by itself."""
    capacity = max(request.max_positions for request in requests)
    batch = DecodingBatch(decoder, len(requests), capacity)
    slots = [batch.join(request) for request in requests]
    tokens: dict[int, list[int]] = {slot: [] for slot in slots}
    ended = dict.fromkeys(slots, False)
    while batch.active_slots:
        for result in batch.step():
            if result.token is not None:
                tokens[result.slot].append(result.token)
            ended[result.slot] = result.finish_reason == "end"
    made = [torch.tensor(tokens[slot], dtype=torch.int64) for slot in slots]
    return made, [ended[slot] for slot in slots]


def _distance(tokens: Tensor, true: Tensor) -> float:
    """Edit distance of the two without repetitions, as a share of the true length.

    A sound held longer repeats its token, so durations hardly count.
    """
    ours, theirs = (torch.unique_consecutive(row).tolist() for row in (tokens, true))
    return Levenshtein.distance(ours, theirs) / len(theirs)
