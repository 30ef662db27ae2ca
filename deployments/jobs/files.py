"""The files of one attempt at a job."""

from __future__ import annotations

from deployments.jobs.ids import folder_of
from deployments.jobs.store import JobCanceled, JobStore
from models.storage import ObjectStore


class AttemptFiles:
    """What one attempt reads and writes in the job's folder; all calls block.

    Every attempt has names of its own: an attempt that lost its lease, and does not know it yet,
    can't put its audio under another's result.

    Args:
        objects: the storage root.
        job_id: the job.
        attempt: from 1.
    """

    def __init__(self, objects: ObjectStore, job_id: str, attempt: int) -> None:
        self._objects = objects
        self._job_id = job_id
        self._folder = folder_of(job_id)
        self._suffix = "" if attempt == 1 else f"-{attempt}"

    def write(self, stem: str, extension: str, content: bytes) -> str:
        """Write a file; returns its name, such as `audio.wav` or `audio-2.wav`."""
        name = f"{stem}{self._suffix}.{extension}"
        self._objects.write(f"{self._folder}/{name}", content)
        return name

    def decide_to_publish(self) -> None:
        """From here on the job can't be canceled; to be called before others can see its result.

        Raises:
            JobCanceled: it was, a moment ago.
        """
        if not JobStore(self._objects).decide(self._job_id, "publish"):
            raise JobCanceled(self._job_id)

    def upload(self) -> bytes:
        """What the request brought along; `ObjectNotFound` if nothing."""
        return self._objects.read(f"{self._folder}/upload")
