"""Jobs in the storage root.

    jobs/pending/<job_id>.<whose>            there as long as something is left to do for the job
    jobs/lists/<whose>/<mirrored id>         an owner's jobs, newest first; in `all` everybody's
    jobs/<yyyy>/<mm>/<job_id>/upload         what the request brought along, until the job is done
                              request.json   what was asked; a job is accepted when this is written
                              attempt-N.json the lease of the Nth attempt
                              decision.json  created once: whether it is canceled, or published
                              audio.<ext>, captions.srt, captions.vtt; audio-N.<ext> … of later ones
                              result.json    created once: whoever creates it has ended the job
                              notified.json  who was told of the end

`<whose>` is `key-<name of the API key>`, or `anybody`. Whatever order of crashes, an accepted job
has its marker until it has a result and its notices; and it is listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from deployments.errors import DamagedRecord, UnknownJob
from deployments.jobs.ids import accepted_at, folder_of, is_job_id, job_id_of, mirrored
from deployments.jobs.job import Job, JobRequest, Lease
from models.storage import ObjectExists, ObjectNotFound, ObjectStore

PENDING = "jobs/pending"
LISTS = "jobs/lists"

# Longer than any request takes to be stored, so that no marker is dropped ahead of its request.
_HALF_ACCEPTED_FOR = timedelta(hours=1)

Decision = Literal["publish", "cancel"]

Document = TypeVar("Document", bound=BaseModel)


class JobCanceled(Exception):
    """A caller has canceled the job: no attempt may publish what it made."""


class _Decided(BaseModel):
    decision: Decision


class JobStore:
    """Reads and writes jobs; all calls block.

    Args:
        objects: the storage root.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    def accept(self, request: JobRequest, upload: bytes | None = None) -> None:
        """Store a request; doing it again, or for the second time at once, changes nothing."""
        folder, marker = folder_of(request.id), _marker(request.id, request.owner)
        if not self.is_accepted(request.id):
            self.objects.write(marker, b"")
            for owner in {None, request.owner}:
                self.objects.write(f"{_list(owner)}/{mirrored(request.id)}", b"")
            if upload is not None:
                self.objects.write(f"{folder}/upload", upload)
            with suppress(ObjectExists):
                self.objects.create(f"{folder}/request.json", encode(request))
        # An idempotency key may bring an old id back: a scan may have dropped its marker just now.
        if _is_late(request.id) and not self.is_finished(request.id):
            self.objects.write(marker, b"")

    def is_accepted(self, job_id: str) -> bool:
        """Whether the request is stored, so that the job will be done."""
        return self._exists(f"{folder_of(job_id)}/request.json")

    def request(self, job_id: str) -> JobRequest:
        """What was asked.

        Raises:
            UnknownJob: no job has this id.
            DamagedRecord: what is stored is no request.
        """
        try:
            return self._document(job_id, "request.json", JobRequest)
        except ObjectNotFound:
            raise UnknownJob(f"no job is called {job_id!r}") from None

    def job(self, job_id: str) -> Job:
        """The job as it stands; raises what `request` raises."""
        names = self.objects.children(folder_of(job_id))
        if "result.json" in names:
            return self._document(job_id, "result.json", Job)
        job = self.request(job_id).as_job()
        if "attempt-1.json" not in names:
            return job
        begun_at = None
        with suppress(DamagedRecord):  # a broken lease breaks no job
            begun_at = self._document(job_id, "attempt-1.json", Lease).claimed_at
        return job.model_copy(update={"status": "processing", "started_at": begun_at})

    def is_finished(self, job_id: str) -> bool:
        """Whether the job has its result."""
        return self._exists(f"{folder_of(job_id)}/result.json")

    def finish(self, job: Job) -> Job:
        """End a job; of all that try, the first one's job is the result, and is returned."""
        try:
            self.objects.create(f"{folder_of(job.id)}/result.json", encode(job))
        except ObjectExists:
            return self._document(job.id, "result.json", Job)
        return job

    def decide(self, job_id: str, wanted: Decision) -> bool:
        """Whether `wanted` is what was decided first, now or earlier; the other can't be any more.

        What others see as soon as it is made, such as a voice, is made only once "publish" is
        decided, and a caller who cancels is told so only once "cancel" is.
        """
        try:
            key = f"{folder_of(job_id)}/decision.json"
            self.objects.create(key, encode(_Decided(decision=wanted)))
        except ObjectExists:
            return self._document(job_id, "decision.json", _Decided).decision == wanted
        return True

    def pending(self) -> list[str]:
        """Ids of the jobs for which something is left to do, oldest first; no stray names."""
        return [job_id for job_id, _ in self._markers()]

    def unfinished(self, owner: str | None) -> set[str]:
        """Ids of an owner's jobs for which something is left to do."""
        whose = _whose(owner)
        return {job_id for job_id, marked_whose in self._markers() if marked_whose == whose}

    def listed(self, owner: str | None, before: str | None, limit: int) -> tuple[list[str], bool]:
        """Ids of up to `limit` jobs, newest first, and whether there are more; one LIST on S3.

        A job that is only being accepted, or was deleted, is listed as well.

        Args:
            owner: only jobs of this owner; all if None.
            before: only jobs older than this one.
        """
        after = mirrored(before) if before is not None else ""
        names = self.objects.page(_list(owner), after, limit + 1)
        ids = [job_id for name in names[:limit] if (job_id := job_id_of(name)) is not None]
        return ids, len(names) > limit

    def settle(self, job_id: str) -> None:
        """Nothing is left to do, and what was uploaded is needed no more."""
        self.objects.delete(f"{folder_of(job_id)}/upload")
        for marker in self._markers_of(job_id):
            self.objects.delete(marker)

    def settle_if_never_accepted(self, job_id: str) -> None:
        """Drop the marker of a request that was never stored whole, once it is surely too late."""
        if not _is_late(job_id) or self.is_accepted(job_id):
            return
        for marker in self._markers_of(job_id):
            self.objects.delete(marker)
            if self.is_accepted(job_id):  # after all, meanwhile
                self.objects.write(marker, b"")

    def _markers(self) -> Iterator[tuple[str, str]]:
        """Job id and `<whose>` of every marker."""
        for name in self.objects.children(PENDING):
            job_id, _, whose = name.partition(".")
            if is_job_id(job_id):
                yield job_id, whose

    def _markers_of(self, job_id: str) -> list[str]:
        """Keys of a job's markers: one, or none."""
        names = self.objects.page(PENDING, after=job_id, limit=1)
        return [f"{PENDING}/{name}" for name in names if name.startswith(f"{job_id}.")]

    def _exists(self, key: str) -> bool:
        try:
            self.objects.size(key)
        except ObjectNotFound:
            return False
        return True

    def _document(self, job_id: str, name: str, model: type[Document]) -> Document:
        content = self.objects.read(f"{folder_of(job_id)}/{name}")
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            raise DamagedRecord(f"{name} of job {job_id} can't be read") from error


def _whose(owner: str | None) -> str:
    return "anybody" if owner is None else f"key-{owner}"


def _marker(job_id: str, owner: str | None) -> str:
    return f"{PENDING}/{job_id}.{_whose(owner)}"


def _list(owner: str | None) -> str:
    return f"{LISTS}/all" if owner is None else f"{LISTS}/{_whose(owner)}"


def _is_late(job_id: str) -> bool:
    return datetime.now(UTC) - accepted_at(job_id) > _HALF_ACCEPTED_FOR


def encode(document: BaseModel) -> bytes:
    """The bytes under which a document is stored."""
    return json.dumps(document.model_dump(), ensure_ascii=False, indent=1).encode()
