from concurrent.futures import ThreadPoolExecutor

import pytest

from deployments.jobs.ids import folder_of
from deployments.jobs.job import Lease
from deployments.jobs.leases import Leases
from deployments.jobs.store import JobStore
from models.storage import ObjectStore
from tests.unit.jobs.jobs import claim, new_request

LEASE_S = 10.0


class Clock:
    """Seconds as a test says."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def store(objects: ObjectStore) -> JobStore:
    return JobStore(objects)


@pytest.fixture
def job_id(store: JobStore) -> str:
    request = new_request()
    store.accept(request)
    return request.id


def claimed(leases: Leases, job_id: str) -> Lease:
    lease = claim(leases, job_id)
    assert lease is not None
    return lease


def test_a_job_is_claimed_once(store: JobStore, job_id: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        holders = [Leases(store, LEASE_S) for _ in range(8)]
        leases = list(pool.map(lambda holder: claim(holder, job_id), holders))
    assert len([lease for lease in leases if lease is not None]) == 1


def test_a_request_that_is_not_stored_yet_can_not_be_claimed(store: JobStore) -> None:
    assert claim(Leases(store, LEASE_S), new_request().id) is None


def test_a_silent_lease_is_taken_over_only_after_its_time(store: JobStore, job_id: str) -> None:
    clock = Clock()
    first = claimed(Leases(store, LEASE_S), job_id)
    other = Leases(store, LEASE_S, clock)
    assert claim(other, job_id) is None
    clock.now_s += LEASE_S
    assert claim(other, job_id) is None
    clock.now_s += 0.1
    second = claimed(other, job_id)
    assert (second.attempt, second.num_lost) == (first.attempt + 1, 1)


def test_a_lease_that_gives_signs_of_life_is_never_taken_over(store: JobStore, job_id: str) -> None:
    clock = Clock()
    holder, other = Leases(store, LEASE_S), Leases(store, LEASE_S, clock)
    lease = claimed(holder, job_id)
    for _ in range(5):
        kept = holder.keep(lease)
        assert kept is not None
        lease = kept[0]
        clock.now_s += LEASE_S
        assert claim(other, job_id) is None


def test_a_holder_learns_that_it_was_replaced(store: JobStore, job_id: str) -> None:
    clock = Clock()
    holder, other = Leases(store, LEASE_S), Leases(store, LEASE_S, clock)
    lease = claimed(holder, job_id)
    claim(other, job_id)
    clock.now_s += LEASE_S + 1
    claimed(other, job_id)
    assert holder.keep(lease) is None


def test_a_holder_learns_that_the_job_has_ended(store: JobStore, job_id: str) -> None:
    leases = Leases(store, LEASE_S)
    lease = claimed(leases, job_id)
    kept = leases.keep(lease)
    assert kept is not None and not kept[1]
    store.finish(store.job(job_id))
    ended = leases.keep(lease)
    assert ended is not None and ended[1]


def test_a_released_job_is_claimed_at_once_and_counts_as_no_loss(
    store: JobStore, job_id: str
) -> None:
    holder = Leases(store, LEASE_S)
    holder.release(claimed(holder, job_id))
    second = claimed(Leases(store, LEASE_S), job_id)
    assert (second.attempt, second.num_lost) == (2, 0)


def test_losses_are_counted_over_all_attempts(store: JobStore, job_id: str) -> None:
    clock = Clock()
    for num_lost in range(3):
        leases = Leases(store, LEASE_S, clock)
        claim(leases, job_id)
        clock.now_s += LEASE_S + 1
        lease = claimed(leases, job_id) if num_lost else None
        assert lease is None or lease.num_lost == num_lost


def test_a_lease_that_can_not_be_read_counts_as_lost_and_breaks_no_job(
    store: JobStore, job_id: str
) -> None:
    store.objects.write(f"{folder_of(job_id)}/attempt-1.json", b"{")
    job = store.job(job_id)
    assert (job.status, job.started_at) == ("processing", None)
    second = claimed(Leases(store, LEASE_S), job_id)
    assert (second.attempt, second.num_lost) == (2, 1)
