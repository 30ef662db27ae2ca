"""Requests drawn from the OpenAPI document: whatever they are, the service does not fail."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from serve_app.http import routes
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

schema = schemathesis.openapi.from_dict(routes().openapi())

# What makes audio takes a second a case; what only reads takes milliseconds.
NUM_EXAMPLES = 8


@schema.parametrize()
@settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_of_the_schema_breaks_the_service(case, service: Service) -> None:
    case.call_and_validate(base_url=service.url, checks=[not_a_server_error], timeout=120)
