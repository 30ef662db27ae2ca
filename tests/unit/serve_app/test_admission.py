import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from deployments.errors import Overloaded
from serve_app.admission import MAX_COUNTED_S, Admission, AdmissionArgs, estimated_audio_s


def admission(max_queued_audio_s: float = 60, max_requests: int = 100, num_replicas: int = 1):
    args = AdmissionArgs(max_queued_audio_s=max_queued_audio_s, max_requests=max_requests)
    return Admission(args, lambda: num_replicas)


def num_admitted(door: Admission, audio_s: float) -> int:
    for count in range(1000):
        try:
            door.admit(audio_s)
        except Overloaded:
            return count
    raise AssertionError("no bound")


def test_requests_are_let_in_up_to_the_bound() -> None:
    assert num_admitted(admission(60), 10) == 6
    assert num_admitted(admission(60, max_requests=4), 10) == 4


@pytest.mark.parametrize("num_replicas", [1, 2, 3])
def test_all_replicas_together_keep_the_bound(num_replicas: int) -> None:
    doors = [admission(60, num_replicas=num_replicas) for _ in range(num_replicas)]
    assert sum(num_admitted(door, 10) for door in doors) == 6


def test_one_request_alone_is_let_in_however_long() -> None:
    door = admission(10)
    ticket = door.admit(1000)
    with pytest.raises(Overloaded) as raised:
        door.admit(1)
    assert raised.value.extensions["retry_after_s"] >= 1
    door.leave(ticket)
    assert (door.queued_audio_s, door.num_requests) == (0, 0)


def test_a_long_text_counts_for_what_it_can_hold_up() -> None:
    door = admission(100)
    door.admit(1000)
    assert door.queued_audio_s == MAX_COUNTED_S


def test_what_was_delivered_makes_room() -> None:
    async def waveforms() -> AsyncIterator[np.ndarray]:
        yield np.zeros(24000 * 4, np.float32)

    async def deliver(door: Admission) -> None:
        with door.admitted(10) as ticket:
            async for _ in ticket.counting(waveforms(), 24000):
                assert door.queued_audio_s == 6

    door = admission()
    asyncio.run(deliver(door))
    assert door.queued_audio_s == 0


def test_a_korean_sentence_is_estimated_at_speaking_pace() -> None:
    text = "보고서는 내일 아침까지 정리해서 보내 드리겠습니다."
    assert 3 < estimated_audio_s(text) < 6
