"""S1 as an engine over real, small networks: what is said alone is said in any company."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from deployments.engine.batching.stepping import Load
from deployments.engine.speech.checkpoint_files import CheckpointFiles, CheckpointUnusable
from deployments.engine.speech.protocol import SemanticRequest, TokenChunk
from deployments.engine.speech.semantic import SemanticEngine, SemanticSettings, max_new_tokens
from models.checkpoints import Checkpoint, Kind, write_native
from models.gpt_sovits.pipeline import SpeechRequest, semantic_request
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import generate
from models.gpt_sovits.s1.sampling import SamplingSettings
from models.storage import FolderStore
from tests.gpt_sovits_store import S1, publish_checkpoint, random_features, random_s1

MakeEngine = Callable[..., SemanticEngine]


@pytest.fixture
def make_engine(checkpoint_files: CheckpointFiles) -> Iterator[MakeEngine]:
    engines = []

    def make(files: CheckpointFiles = checkpoint_files, **settings: object) -> SemanticEngine:
        engines.append(SemanticEngine(files, SemanticSettings(**settings)))  # type: ignore[arg-type]
        return engines[-1]

    yield make
    for engine in engines:
        engine.stop()


def random_request(seed: int, checkpoint: str = "first@1") -> SemanticRequest:
    chance = random.Random(seed)
    return SemanticRequest(
        checkpoint=checkpoint,
        phoneme_ids=tuple(chance.randrange(732) for _ in range(chance.randint(1, 30))),
        reference=random_features(seed),
        seed=seed,
        sampling=SamplingSettings(top_k=chance.choice([5, 15])),
    )


@cache
def decoder_of(files: CheckpointFiles, checkpoint: str) -> S1Decoder:
    return files.semantic_decoder(checkpoint)


def tokens_alone(files: CheckpointFiles, request: SemanticRequest) -> tuple[list[int], str]:
    """What the single-request path generates."""
    decoder = decoder_of(files, request.checkpoint)
    alone = generate(
        decoder,
        semantic_request(
            decoder,
            SpeechRequest(
                phoneme_ids=torch.tensor(request.phoneme_ids),
                reference=request.reference,
                seed=request.seed,
                sampling=request.sampling or SamplingSettings(),
                max_new_tokens=max_new_tokens(len(request.phoneme_ids), 10_000),
            ),
        ),
    )
    return alone.tokens.tolist(), "stop" if alone.finish_reason == "end" else "length"


async def chunks_of(engine: SemanticEngine, request: SemanticRequest) -> list[TokenChunk]:
    return [chunk async for chunk in engine.generate(request)]


def joined(chunks: list[TokenChunk]) -> list[int]:
    return [token for chunk in chunks for token in chunk.tokens]


def test_segments_of_two_checkpoints_together_have_the_tokens_they_have_alone(
    make_engine: MakeEngine, checkpoint_files: CheckpointFiles
) -> None:
    requests = [random_request(i, ("first@1", "second@1")[i % 2]) for i in range(12)]

    async def together() -> list[list[TokenChunk]]:
        engine = make_engine(num_slots=3)
        return await asyncio.gather(*(chunks_of(engine, request) for request in requests))

    for request, chunks in zip(requests, asyncio.run(together()), strict=True):
        assert (joined(chunks), chunks[-1].finish_reason) == tokens_alone(checkpoint_files, request)


def test_a_checkpoint_says_how_it_is_drawn_from(
    make_engine: MakeEngine, tuned_files: CheckpointFiles
) -> None:
    silent = replace(random_request(3, "tuned@1"), sampling=None)
    greedy = SamplingSettings(top_k=1, repetition_penalty=1.0)
    own = SamplingSettings(top_k=15)

    async def both() -> list[list[TokenChunk]]:
        engine = make_engine(tuned_files)
        return [await chunks_of(engine, one) for one in (silent, replace(silent, sampling=own))]

    by_checkpoint, by_request = (joined(chunks) for chunks in asyncio.run(both()))

    assert by_checkpoint == tokens_alone(tuned_files, replace(silent, sampling=greedy))[0]
    assert by_request == tokens_alone(tuned_files, replace(silent, sampling=own))[0]
    assert by_checkpoint != by_request


def test_tokens_travel_in_groups_and_only_the_last_group_is_the_end(
    make_engine: MakeEngine,
) -> None:
    chunks = asyncio.run(chunks_of(make_engine(tokens_per_chunk=5), random_request(3)))
    assert {len(chunk.tokens) for chunk in chunks[:-1]} == {5}
    assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


@pytest.mark.parametrize("num_known", [1, 7, 20])
def test_an_interrupted_segment_goes_on_as_if_it_had_not_been(
    make_engine: MakeEngine, num_known: int
) -> None:
    request = random_request(3)

    async def scenario() -> tuple[list[int], list[int]]:
        engine = make_engine()
        whole = joined(await chunks_of(engine, request))
        rest = replace(request, generated_prefix=tuple(whole[:num_known]))
        return whole, joined(await chunks_of(engine, rest))

    whole, rest = asyncio.run(scenario())
    assert len(whole) > num_known
    assert rest == whole[num_known:]


def test_leaving_a_segment_frees_its_slot_for_the_one_that_waits(make_engine: MakeEngine) -> None:
    async def scenario() -> tuple[list[TokenChunk], Load]:
        engine = make_engine(num_slots=1, tokens_per_chunk=1)
        async with aclosing(engine.generate(random_request(3))) as left:
            await anext(left)
            waiting = asyncio.create_task(chunks_of(engine, random_request(4)))
        chunks = await waiting
        async with asyncio.timeout(10):
            while engine.load != Load():
                await asyncio.sleep(0.001)
        return chunks, engine.load

    chunks, load = asyncio.run(scenario())
    assert chunks[-1].finish_reason is not None
    assert load == Load()


def test_a_text_that_never_ends_is_cut_off_at_its_length(
    make_engine: MakeEngine, checkpoint_files: CheckpointFiles
) -> None:
    requests = [replace(random_request(i), phoneme_ids=(5,)) for i in range(20)]

    async def all_chunks() -> list[list[TokenChunk]]:
        engine = make_engine()
        return await asyncio.gather(*(chunks_of(engine, request) for request in requests))

    ends = [(chunks[-1].finish_reason, len(joined(chunks))) for chunks in asyncio.run(all_chunks())]
    assert ("length", max_new_tokens(1, 10_000)) in ends
    assert max(length for _, length in ends) == max_new_tokens(1, 10_000)


def test_a_stuck_segment_is_cut_off_as_a_loop(
    make_engine: MakeEngine, stuck_files: CheckpointFiles
) -> None:
    sampling = SamplingSettings(repetition_penalty=1.0)
    request = replace(random_request(1, "stuck@1"), phoneme_ids=(5,) * 30, sampling=sampling)
    chunks = asyncio.run(chunks_of(make_engine(stuck_files), request))
    assert chunks[-1].finish_reason == "loop"
    assert joined(chunks) == [7] * 60


def test_a_checkpoint_that_computes_no_numbers_is_named(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    request = random_request(1, "overflowing@1")
    store = FolderStore(tmp_path)
    publish_checkpoint(store, "overflowing")
    state = random_s1(0).state_dict()
    is_known = torch.zeros(S1.num_semantic_tokens + 1, dtype=torch.bool)
    is_known[request.reference.prompt_tokens] = True
    state["token_embedding.weight"][~is_known] = 3e38  # whatever is new overflows
    path = store.path("checkpoints/overflowing/1/s1.json")
    write_native(path, Checkpoint(Kind.S1, S1, state))
    with pytest.raises(CheckpointUnusable, match="overflowing@1: .*no number"):
        asyncio.run(chunks_of(make_engine(CheckpointFiles([store])), request))


def test_bad_ids_fail_alone(make_engine: MakeEngine, checkpoint_files: CheckpointFiles) -> None:
    good, bad = random_request(1), replace(random_request(2), phoneme_ids=(9999,))

    async def scenario() -> list[list[TokenChunk] | BaseException]:
        engine = make_engine()
        calls = (chunks_of(engine, request) for request in (good, bad, good))
        return await asyncio.gather(*calls, return_exceptions=True)

    first, failed, second = asyncio.run(scenario())
    assert isinstance(failed, ValueError)
    for chunks in (first, second):
        assert isinstance(chunks, list)
        assert joined(chunks) == tokens_alone(checkpoint_files, good)[0]


def test_a_segment_longer_than_the_cache_is_refused(make_engine: MakeEngine) -> None:
    request = replace(random_request(1), phoneme_ids=(1,) * 300)
    with pytest.raises(ValueError, match="300 phonemes needs 750 positions"):
        asyncio.run(chunks_of(make_engine(capacity=400), request))


def test_loading_another_checkpoint_does_not_stop_a_running_one_nor_evict_it(
    make_engine: MakeEngine, checkpoint_files: CheckpointFiles
) -> None:
    request = random_request(3)
    other = random_request(4, "second@1")

    async def scenario() -> tuple[list[int], list[int]]:
        engine = make_engine(max_checkpoints=1, tokens_per_chunk=1)
        async with aclosing(engine.generate(request)) as running:
            tokens = [*(await anext(running)).tokens]
            waiting = asyncio.create_task(chunks_of(engine, other))
            async for chunk in running:
                tokens += chunk.tokens
        return tokens, joined(await waiting)

    assert asyncio.run(scenario()) == (
        tokens_alone(checkpoint_files, request)[0],
        tokens_alone(checkpoint_files, other)[0],
    )


@pytest.mark.parametrize("name", ["first", "first@2", "nobody@1", "../first@1"])
def test_a_checkpoint_that_is_not_there_is_named(make_engine: MakeEngine, name: str) -> None:
    with pytest.raises(CheckpointUnusable, match=f"{name}.* (not stored|not of the form)"):
        asyncio.run(chunks_of(make_engine(), random_request(1, name)))


def test_a_damaged_checkpoint_is_named(
    make_engine: MakeEngine, damaged_files: CheckpointFiles
) -> None:
    with pytest.raises(CheckpointUnusable, match="damaged@1"):
        asyncio.run(chunks_of(make_engine(damaged_files), random_request(1, "damaged@1")))
