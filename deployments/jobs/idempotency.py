"""Idempotency keys: the same key and request mean the same job.

idempotency/<hash of owner and key>.json    which job the key stands for, created exclusively
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from pydantic import BaseModel, ValidationError

from deployments.errors import DamagedRecord, IdempotencyConflict, InvalidInput
from deployments.jobs.store import encode
from models.storage import ObjectExists, ObjectStore

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


class _Entry(BaseModel):
    job_id: str
    fingerprint: str


def fingerprint(job_type: str, body: dict[str, Any], upload: bytes | None) -> str:
    """What two requests have in common if and only if they ask for the same."""
    content = json.dumps([job_type, body], sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass"))
    digest.update(b"" if upload is None else hashlib.sha256(upload).digest())
    return digest.hexdigest()


def claim_key(objects: ObjectStore, owner: str | None, key: str, asked: str, job_id: str) -> str:
    """The job a key stands for: `job_id`, unless the key was used before. Blocks.

    Args:
        objects: the storage root.
        owner: keys of two owners have nothing to do with each other.
        key: 1 to 255 printable ASCII characters.
        asked: fingerprint of the request.
        job_id: the job that would be made.

    Raises:
        InvalidInput: the key has another form.
        IdempotencyConflict: it was used for another request.
    """
    if not _KEY.fullmatch(key):
        raise InvalidInput("Idempotency-Key must be 1 to 255 printable ASCII characters")
    name = hashlib.sha256(json.dumps([owner, key]).encode()).hexdigest()
    path = f"idempotency/{name}.json"
    try:
        objects.create(path, encode(_Entry(job_id=job_id, fingerprint=asked)))
        return job_id
    except ObjectExists:
        pass
    content = objects.read(path)
    try:
        entry = _Entry.model_validate_json(content)
    except ValidationError as error:
        raise DamagedRecord("what the idempotency key stands for can't be read") from error
    if entry.fingerprint != asked:
        raise IdempotencyConflict("this Idempotency-Key was used for a request with another body")
    return entry.job_id
