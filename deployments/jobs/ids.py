"""Job ids: unguessable, sortable by age, and enough to find the folder of a job."""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime

from deployments.errors import UnknownJob

# 48 bits of milliseconds and 80 random bits, as a version 7 UUID orders them.
_JOB_ID = re.compile(r"job_([0-9a-f]{12})([0-9a-f]{20})")
_MIRRORED = re.compile(r"[0-9a-f]{32}")
_LARGEST = (1 << 128) - 1
# A seed that comes back from JSON as it went: every reader has its numbers up to here.
_SEED_BITS = 53


def new_job_id() -> str:
    """An id that no other job has; later ones sort behind it."""
    return f"job_{int(time.time() * 1000):012x}{secrets.token_hex(10)}"


def accepted_at(job_id: str) -> datetime:
    """When the id was made.

    Raises:
        UnknownJob: it is not the id of a job.
    """
    match = _JOB_ID.fullmatch(job_id)
    try:
        if match is not None:
            return datetime.fromtimestamp(int(match.group(1), 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise UnknownJob(f"no job is called {job_id[:80]!r}")


def is_job_id(name: str) -> bool:
    """Whether a name is one that `new_job_id` could give."""
    try:
        accepted_at(name)
    except UnknownJob:
        return False
    return True


def mirrored(job_id: str) -> str:
    """A name that sorts the other way round than the id: stores list in one order only."""
    number = int(job_id.removeprefix("job_"), 16)
    return f"{_LARGEST - number:032x}"


def job_id_of(mirrored_id: str) -> str | None:
    """The id of which this is the mirrored one; None for any other name."""
    if not _MIRRORED.fullmatch(mirrored_id):
        return None
    job_id = f"job_{_LARGEST - int(mirrored_id, 16):032x}"
    return job_id if is_job_id(job_id) else None


def folder_of(job_id: str) -> str:
    """`jobs/<yyyy>/<mm>/<job_id>`, of the month in which the job was accepted (UTC).

    Raises:
        UnknownJob: it is not the id of a job.
    """
    return f"jobs/{accepted_at(job_id):%Y/%m}/{job_id}"


def seed_of(job_id: str) -> int:
    """The seed of a job whose caller named none: every attempt of the job draws the same."""
    return int(job_id[-16:], 16) >> 64 - _SEED_BITS


def voice_id_of(job_id: str) -> str:
    """The id of the voice that a registration makes whose caller chose none."""
    return f"voice_{job_id[-16:]}"


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """The current moment as a timestamp."""
    return timestamp(datetime.now(UTC))
