import pickle

import pytest

from deployments.errors import SpeechError
from deployments.jobs.errors import IdempotencyConflict, JobAbandoned, JobFinished


@pytest.mark.parametrize(
    ("kind", "status"), [(JobFinished, 409), (IdempotencyConflict, 422), (JobAbandoned, 500)]
)
def test_an_error_keeps_what_it_says_between_replicas(kind: type[SpeechError], status: int) -> None:
    error = pickle.loads(pickle.dumps(kind("detail", {"limit": 1})))
    assert (type(error), error.detail, error.extensions) == (kind, "detail", {"limit": 1})
    assert error.status == status
