"""Requests drawn from the OpenAPI document: whatever they are, the service does not fail."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from serve_app.http import routes
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

schema = schemathesis.openapi.from_dict(routes().openapi())

USUAL = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def ask(case: schemathesis.Case, service: Service) -> None:
    case.call_and_validate(base_url=service.url, checks=[not_a_server_error], timeout=120)


@schema.parametrize()
@settings(USUAL)
def test_no_request_of_the_schema_breaks_the_service(
    case: schemathesis.Case, service: Service
) -> None:
    ask(case, service)


@pytest.mark.slow
@schema.parametrize()
@settings(USUAL, max_examples=100, derandomize=False)
def test_no_request_of_a_longer_search_breaks_the_service(
    case: schemathesis.Case, service: Service
) -> None:
    ask(case, service)
