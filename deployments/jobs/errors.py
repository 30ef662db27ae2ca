"""What only jobs can meet; further leaves of the tree in `deployments.errors`.

SpeechError
├── JobFinished          409  it is too late to cancel
├── IdempotencyConflict  422  the key stands for another request
└── JobAbandoned         500  whoever ran the job died, again and again
"""

from __future__ import annotations

from deployments.errors import SpeechError


class JobFinished(SpeechError):
    status = 409
    slug = "job-finished"
    title = "The job has ended already"


class IdempotencyConflict(SpeechError):
    status = 422
    slug = "idempotency-conflict"
    title = "The idempotency key was used for another request"


class JobAbandoned(SpeechError):
    status = 500
    slug = "job-abandoned"
    title = "The job was given up"
