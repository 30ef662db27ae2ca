"""Objects in a bucket of S3, or of a server that speaks its protocol."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.storage.aws import AwsAccess
from models.storage.objects import (
    ObjectExists,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
    check_key,
    check_range,
)

_WRITER = "writer"  # metadata that tells our own, repeated write from another's
_MAX_LISTED = 1000  # names in one reply of S3
_CONFLICT_DELAYS_S = (0.05, 0.2, 0.8)


class S3Store:
    """Objects below `s3://bucket/prefix`.

    Args:
        bucket: it must exist.
        prefix: folder in the bucket; empty for all of it.
        access: credentials and address.
    """

    def __init__(self, bucket: str, prefix: str, access: AwsAccess) -> None:
        self._bucket = bucket
        self._prefix = f"{check_key(prefix)}/" if prefix else ""
        self._client = access.client("s3")

    def check_writable(self) -> None:
        self.write("probe", b"")
        self.delete("probe")

    def sweep(self) -> None:
        pass  # a request that breaks off leaves nothing in a bucket

    def read(self, key: str) -> bytes:
        with self._failures_named("read", key):
            return self._body(self._client.get_object(**self._at(key)))

    def size(self, key: str) -> int:
        with self._failures_named("size", key):
            return int(self._client.head_object(**self._at(key))["ContentLength"])

    def read_range(self, key: str, start: int, num_bytes: int) -> bytes:
        check_range(start, num_bytes)
        span = f"bytes={start}-{start + num_bytes - 1}"
        with self._failures_named("read", key):
            try:
                return self._body(self._client.get_object(**self._at(key), Range=span))
            except Exception as error:
                if _code(error) == "InvalidRange":
                    return b""
                raise

    def write(self, key: str, content: bytes) -> None:
        with self._failures_named("write", key):
            self._client.put_object(**self._at(key), Body=content)

    def create(self, key: str, content: bytes) -> None:
        writer = secrets.token_hex(8)
        with self._failures_named("create", key):
            if not self._put_if_absent(key, content, writer) and self._writer(key) != writer:
                raise ObjectExists(f"object {key!r} exists already")

    def delete(self, key: str) -> None:
        with self._failures_named("delete", key):
            self._client.delete_object(**self._at(key))

    def delete_tree(self, prefix: str) -> None:
        with self._failures_named("delete", prefix):
            for page in self._pages(prefix):
                keys = [{"Key": entry["Key"]} for entry in page.get("Contents", ())]
                if not keys:
                    continue
                reply = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True}
                )
                if failed := reply.get("Errors"):
                    raise StorageUnavailable(f"delete {prefix!r}: {failed[0].get('Code')}")

    def children(self, prefix: str) -> list[str]:
        names = set()
        with self._failures_named("list", prefix):
            for page in self._pages(prefix, Delimiter="/"):
                names.update(_objects_of(page))
                folders = (entry["Prefix"] for entry in page.get("CommonPrefixes", ()))
                names.update(_name(folder.rstrip("/")) for folder in folders)
        return sorted(names)

    def page(self, prefix: str, after: str, limit: int) -> list[str]:
        options: dict[str, Any] = {"Delimiter": "/", "MaxKeys": min(limit, _MAX_LISTED)}
        if after:
            options["StartAfter"] = f"{self._prefix}{prefix}/{after}"
        names: list[str] = []
        with self._failures_named("list", prefix):
            for page in self._pages(prefix, **options):
                names += _objects_of(page)
                if len(names) >= limit:
                    break
        return names[:limit]

    def uri(self, key: str) -> str | None:
        return f"s3://{self._bucket}/{self._prefix}{check_key(key)}"

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + check_key(key)}

    def _pages(self, prefix: str, **options: Any) -> Iterator[dict[str, Any]]:
        below = f"{self._prefix}{check_key(prefix)}/"
        paginator = self._client.get_paginator("list_objects_v2")
        yield from paginator.paginate(Bucket=self._bucket, Prefix=below, **options)

    def _body(self, reply: dict[str, Any]) -> bytes:
        with reply["Body"] as body:
            return bytes(body.read())

    def _put_if_absent(self, key: str, content: bytes, writer: str) -> bool:
        """Whether this call wrote the object; False is also what a repeated request is told."""
        for delay_s in (*_CONFLICT_DELAYS_S, None):
            try:
                self._client.put_object(
                    **self._at(key), Body=content, IfNoneMatch="*", Metadata={_WRITER: writer}
                )
                return True
            except Exception as error:
                code = _code(error)
                if code in ("PreconditionFailed", "412"):
                    return False
                # Another conditional write of this key was under way; which one won is not said.
                if code not in ("ConditionalRequestConflict", "409") or delay_s is None:
                    raise
            time.sleep(delay_s)
        raise AssertionError("the last round returns or raises")

    def _writer(self, key: str) -> str | None:
        metadata: dict[str, str] = self._client.head_object(**self._at(key)).get("Metadata", {})
        return metadata.get(_WRITER)

    @contextmanager
    def _failures_named(self, action: str, key: str) -> Iterator[None]:
        """Turn what boto3 raises into typed errors that name the call and nothing secret."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except StorageError:
            raise
        except ClientError as error:
            code = _code(error)
            if code in ("NoSuchKey", "404", "NotFound"):
                raise ObjectNotFound(f"no object {key!r}") from None
            raise StorageUnavailable(f"{action} {key!r} in {self._bucket}: {code}") from None
        except BotoCoreError as error:
            # The type only: messages of connection errors hold whole addresses.
            reason = type(error).__name__
            raise StorageUnavailable(f"{action} {key!r} in {self._bucket}: {reason}") from None


def _objects_of(page: dict[str, Any]) -> list[str]:
    """Names of the objects in a page of a listing, in order."""
    keys = (entry["Key"] for entry in page.get("Contents", ()))
    # Consoles mark an empty folder by an object that is called as the folder itself.
    return [_name(key) for key in keys if not key.endswith("/")]


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _code(error: Exception) -> str | None:
    """S3's error code of a refused call; None for anything else."""
    reply = getattr(error, "response", None)
    return str(reply.get("Error", {}).get("Code")) if isinstance(reply, dict) else None
