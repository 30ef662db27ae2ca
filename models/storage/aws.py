"""How the object store and the queues of AWS, or of what speaks their protocols, are reached."""

from __future__ import annotations

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
        """A client of `s3` or `sqs` for all threads; its retries and its time are bounded."""
        # Imported late: it takes half a second, and a service that stores in a folder needs none.
        import boto3
        from botocore.config import Config

        session = boto3.session.Session(
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            aws_session_token=self.session_token,
            region_name=self.region,
        )
        return session.client(
            service,
            region_name=session.region_name or "us-east-1",
            endpoint_url=self.endpoint_url,
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
