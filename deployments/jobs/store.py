"""Jobs in the storage root.

    jobs/pending/<job_id>                    there as long as something is left to do for the job
    jobs/<yyyy>/<mm>/<job_id>/upload         what the request brought along, until the job is done
                              request.json   what was asked; a job is accepted when this is written
                              attempt-N.json the lease of the Nth attempt
                              audio.<ext>, captions.srt, captions.vtt; audio-N.<ext> … of later ones
                              result.json    created once: whoever creates it has ended the job
                              notified.json  who was told of the end

Whatever order of crashes, an accepted job has its marker until it has a result and its notices.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from deployments.errors import DamagedRecord, UnknownJob
from deployments.jobs.ids import accepted_at, folder_of, is_job_id
from deployments.jobs.job import Job, JobRequest, Lease
from models.storage import ObjectExists, ObjectNotFound, ObjectStore

PENDING = "jobs/pending"

# Longer than any request takes to be stored, so that no marker is dropped ahead of its request.
_HALF_ACCEPTED_FOR = timedelta(hours=1)

Document = TypeVar("Document", bound=BaseModel)


class JobStore:
    """Reads and writes jobs; all calls block.

    Args:
        objects: the storage root.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    def accept(self, request: JobRequest, upload: bytes | None = None) -> None:
        """Store a request; doing it again, or for the second time at once, changes nothing."""
        folder = folder_of(request.id)
        if not self._exists(f"{folder}/request.json"):
            self.objects.write(f"{PENDING}/{request.id}", b"")
            if upload is not None:
                self.objects.write(f"{folder}/upload", upload)
            with suppress(ObjectExists):
                self.objects.create(f"{folder}/request.json", encode(request))
        # An idempotency key may bring an old id back: a scan may have dropped its marker just now.
        if _is_late(request.id) and not self.is_finished(request.id):
            self.objects.write(f"{PENDING}/{request.id}", b"")

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

    def pending(self) -> list[str]:
        """Ids of the jobs for which something is left to do, oldest first; no stray names."""
        return [name for name in self.objects.children(PENDING) if is_job_id(name)]

    def settle(self, job_id: str) -> None:
        """Nothing is left to do, and what was uploaded is needed no more."""
        self.objects.delete(f"{folder_of(job_id)}/upload")
        self.objects.delete(f"{PENDING}/{job_id}")

    def settle_if_never_accepted(self, job_id: str) -> None:
        """Drop the marker of a request that was never stored whole, once it is surely too late."""
        if not _is_late(job_id) or self._exists(f"{folder_of(job_id)}/request.json"):
            return
        self.objects.delete(f"{PENDING}/{job_id}")
        if self._exists(f"{folder_of(job_id)}/request.json"):  # accepted after all, meanwhile
            self.objects.write(f"{PENDING}/{job_id}", b"")

    def months(self) -> list[str]:
        """Folders of all months that have jobs, newest first."""
        years = [year for year in self.objects.children("jobs") if year.isdecimal()]
        months = [
            f"jobs/{year}/{month}"
            for year in years
            for month in self.objects.children(f"jobs/{year}")
        ]
        return sorted(months, reverse=True)

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


def _is_late(job_id: str) -> bool:
    return datetime.now(UTC) - accepted_at(job_id) > _HALF_ACCEPTED_FOR


def encode(document: BaseModel) -> bytes:
    """The bytes under which a document is stored."""
    return json.dumps(document.model_dump(), ensure_ascii=False, indent=1).encode()
