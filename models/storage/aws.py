"""How the object store and the queues of AWS, or of what speaks their protocols, are reached."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 20
_MAX_ATTEMPTS = 4


@dataclass(frozen=True)
class AwsAccess:
    """Credentials and address; what is None is found the way AWS tools find it.

    Args:
        access_key_id, secret_access_key, session_token: never shown in a representation.
        region: `us-east-1` if nothing names one.
        endpoint_url: a server other than AWS's; without it `AWS_ENDPOINT_URL` counts.
    """

    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = None
    endpoint_url: str | None = field(default=None, repr=False)

    def client(self, service: str) -> Any:
        """The one client of `s3` or `sqs`, for all threads; its retries and time are bounded."""
        return _client(self, service)


@functools.cache  # a client takes a quarter of a second to make, and all stores can share it
def _client(access: AwsAccess, service: str) -> Any:
    # Imported late: it takes half a second, and a service that stores in a folder needs none.
    import boto3
    from botocore.config import Config

    session = boto3.session.Session(
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        aws_session_token=access.session_token,
        region_name=access.region,
    )
    return session.client(
        service,
        region_name=session.region_name or "us-east-1",
        endpoint_url=access.endpoint_url,
        config=Config(
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": _MAX_ATTEMPTS},
            max_pool_connections=32,
            # Other servers than AWS's do not all know the newer default checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
