import time
from datetime import UTC, datetime, timedelta

import pytest

from deployments.errors import DamagedRecord, UnknownJob
from deployments.jobs.ids import folder_of, job_id_of, mirrored, new_job_id, seed_of
from deployments.jobs.job import Job, JobRequest
from deployments.jobs.leases import Leases
from deployments.jobs.store import JobStore
from models.storage import ObjectStore
from tests.unit.jobs.jobs import claim, new_request


def test_a_job_is_stored_below_the_month_its_id_names(objects: ObjectStore) -> None:
    request = new_request()
    JobStore(objects).accept(request)
    today = datetime.now(UTC)
    assert objects.children(f"jobs/{today:%Y}/{today:%m}") == [request.id]


def test_an_accepted_job_is_pending_and_starting(objects: ObjectStore) -> None:
    store = JobStore(objects)
    request = new_request(owner="key", webhook_url="https://example.com")
    store.accept(request, upload=b"clip")
    assert store.pending() == [request.id]
    assert store.request(request.id) == request
    assert store.job(request.id).status == "starting"
    assert objects.read(f"{folder_of(request.id)}/upload") == b"clip"


def test_the_upload_of_a_job_that_is_done_is_not_kept(objects: ObjectStore) -> None:
    store, request = JobStore(objects), new_request()
    store.accept(request, upload=b"clip")
    store.settle(request.id)
    assert objects.children(folder_of(request.id)) == ["request.json"]
    assert store.pending() == []


def test_an_owner_is_listed_its_own_jobs_and_nobody_all(objects: ObjectStore) -> None:
    store = JobStore(objects)
    owners = ("me", "you", None, "me", "all")
    requests = [
        new_request(owner=owner).model_copy(update={"id": f"job_{number:012x}{'0' * 20}"})
        for number, owner in enumerate(owners)
    ]
    for request in requests:
        store.accept(request)
    ids = [request.id for request in requests]
    assert store.listed(None, None, 9) == (ids[::-1], False)
    assert store.listed("me", None, 2) == ([ids[3], ids[0]], False)
    assert store.listed("me", None, 1) == ([ids[3]], True)
    assert store.listed("me", ids[3], 1) == ([ids[0]], False)
    assert store.listed("nobody", None, 1) == ([], False)
    assert store.unfinished("me") == {ids[0], ids[3]}
    assert store.unfinished(None) == {ids[2]}


def test_a_stray_name_in_a_list_is_no_job(objects: ObjectStore) -> None:
    for name in ("notes", "0" * 32, "f" * 31):
        objects.write(f"jobs/lists/all/{name}", b"")
    assert JobStore(objects).listed(None, None, 9) == ([], False)


def test_neither_owner_nor_webhook_is_shown(objects: ObjectStore) -> None:
    request = new_request(owner="the-owner", webhook_url="https://hook.example.com")
    shown = request.as_job().model_dump_json()
    assert "the-owner" not in shown and "hook" not in shown


def test_a_claimed_job_is_processing_since_its_first_attempt(objects: ObjectStore) -> None:
    store = JobStore(objects)
    request = new_request()
    store.accept(request)
    lease = claim(Leases(store, lease_s=1), request.id)
    assert lease is not None
    job = store.job(request.id)
    assert (job.status, job.started_at) == ("processing", lease.claimed_at)


def test_accepting_a_request_twice_changes_nothing(objects: ObjectStore) -> None:
    store = JobStore(objects)
    request = new_request()
    store.accept(request)
    store.settle(request.id)
    store.accept(request.model_copy(update={"input": {"text": "other"}}))
    assert store.request(request.id) == request
    assert store.pending() == []


def test_the_first_end_of_a_job_is_its_result(objects: ObjectStore) -> None:
    store = JobStore(objects)
    request = new_request()
    store.accept(request)
    canceled = request.as_job().model_copy(update={"status": "canceled"})
    failed = request.as_job().model_copy(update={"status": "failed"})
    assert store.finish(canceled) == canceled
    assert store.finish(failed) == canceled
    assert store.job(request.id) == canceled


def test_the_first_decision_about_a_job_stands(objects: ObjectStore) -> None:
    store, first, second = JobStore(objects), new_job_id(), new_job_id()
    assert store.decide(first, "publish") and store.decide(second, "cancel")
    assert store.decide(first, "publish") and store.decide(second, "cancel")
    assert not store.decide(first, "cancel") and not store.decide(second, "publish")


def test_jobs_are_pending_in_the_order_they_came(objects: ObjectStore) -> None:
    store = JobStore(objects)
    requests = [
        new_request().model_copy(update={"id": f"job_{number:012x}{'0' * 20}"})
        for number in (3_000, 1_000, 2_000)
    ]
    for request in requests:
        store.accept(request)
    assert store.pending() == sorted(request.id for request in requests)


def test_a_marker_without_a_request_is_dropped_only_when_it_is_old(
    objects: ObjectStore,
) -> None:
    store = JobStore(objects)
    old = datetime.now(UTC) - timedelta(hours=2)
    old_id = f"job_{int(old.timestamp() * 1000):012x}{'0' * 20}"
    young_id, accepted = new_job_id(), new_request().model_copy(update={"id": old_id[:-1] + "1"})
    for job_id in (old_id, young_id):
        objects.write(f"jobs/pending/{job_id}.anybody", b"")
    store.accept(accepted)
    for job_id in store.pending():
        store.settle_if_never_accepted(job_id)
    assert store.pending() == sorted([young_id, accepted.id])


def old_request() -> JobRequest:
    """A request whose idempotency key was used two hours ago, by a call that broke off."""
    old = datetime.now(UTC) - timedelta(hours=2)
    job_id = f"job_{int(old.timestamp() * 1000):012x}{'0' * 20}"
    return new_request().model_copy(update={"id": job_id})


@pytest.mark.parametrize("dropped_at", ["before", "after"])
def test_an_old_id_that_is_accepted_at_last_keeps_its_marker(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch, dropped_at: str
) -> None:
    store, request = JobStore(objects), old_request()
    kind = type(objects)
    create, delete = kind.create, kind.delete

    def create_after_a_scan(self: ObjectStore, key: str, content: bytes) -> None:
        store.settle_if_never_accepted(request.id)
        create(self, key, content)  # type: ignore[arg-type]

    def delete_after_the_request(self: ObjectStore, key: str) -> None:
        monkeypatch.undo()
        store.accept(request)
        delete(self, key)  # type: ignore[arg-type]

    if dropped_at == "before":
        monkeypatch.setattr(kind, "create", create_after_a_scan)
        store.accept(request)
    else:
        objects.write(f"jobs/pending/{request.id}.anybody", b"")
        monkeypatch.setattr(kind, "delete", delete_after_the_request)
        store.settle_if_never_accepted(request.id)
    assert store.pending() == [request.id]


def test_repeating_an_accepted_old_request_restores_a_lost_marker(objects: ObjectStore) -> None:
    store, request = JobStore(objects), old_request()
    store.accept(request)
    objects.delete_tree("jobs/pending")
    assert store.pending() == []
    store.accept(request)
    assert store.pending() == [request.id]


@pytest.mark.parametrize("job_id", ["", "job_", "../x", "job_" + "f" * 32, "job_" + "0" * 32])
def test_an_unknown_job_is_refused(objects: ObjectStore, job_id: str) -> None:
    with pytest.raises(UnknownJob):
        JobStore(objects).job(job_id)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"id": 1}', b"\xff"])
def test_a_damaged_document_is_named(objects: ObjectStore, content: bytes) -> None:
    request = new_request()
    objects.write(f"{folder_of(request.id)}/request.json", content)
    with pytest.raises(DamagedRecord, match=f"request.json of job {request.id}"):
        JobStore(objects).job(request.id)


def test_ids_sort_by_age() -> None:
    made = []
    for _ in range(3):
        made.append(new_job_id())
        time.sleep(0.002)  # ids tell milliseconds apart
    assert made == sorted(made)


def test_a_mirrored_id_leads_back_and_sorts_the_other_way_round() -> None:
    ids = sorted(new_job_id() for _ in range(9))
    assert sorted(map(mirrored, ids), reverse=True) == list(map(mirrored, ids))
    assert [job_id_of(mirrored(job_id)) for job_id in ids] == ids


def test_a_seed_follows_from_the_job_and_fits_a_request() -> None:
    job_id = new_job_id()
    assert seed_of(job_id) == seed_of(job_id)
    assert seed_of(job_id) != seed_of(new_job_id())
    assert seed_of("job_" + "f" * 32) == 2**53 - 1  # the largest that JSON readers keep exactly
    assert seed_of("job_" + "0" * 32) == 0


def test_a_stored_result_is_the_job_as_it_is_shown(objects: ObjectStore) -> None:
    job = new_request().as_job()
    JobStore(objects).finish(job)
    assert Job.model_validate_json(objects.read(f"{folder_of(job.id)}/result.json")) == job
