"""A storage root as people write it: a folder, or `s3://bucket/prefix`."""

from __future__ import annotations

import re
from pathlib import Path

from models.storage.aws import AwsAccess
from models.storage.folder import FolderStore
from models.storage.objects import ObjectStore, StorageError, check_key
from models.storage.s3 import S3Store

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SCHEME = "s3://"


def check_root(root: str) -> str:
    """The root itself.

    Raises:
        StorageError: it is neither an absolute folder nor `s3://bucket` nor `s3://bucket/prefix`.
    """
    if root.startswith(_SCHEME):
        bucket, prefix = _split(root)
        if not _BUCKET.fullmatch(bucket):
            raise StorageError(f"storage root {root!r}: {bucket!r} is not the name of a bucket")
        if prefix:
            check_key(prefix)
    elif not Path(root).is_absolute():
        raise StorageError(
            f"storage root must be an absolute folder or s3://bucket/prefix, got {root!r}"
        )
    return root


def open_store(root: str, access: AwsAccess | None = None) -> ObjectStore:
    """The store at a root; nothing is read or written yet.

    Args:
        root: absolute folder, `s3://bucket` or `s3://bucket/prefix`.
        access: for S3; by default what AWS's tools would use.
    """
    if check_root(root).startswith(_SCHEME):
        return S3Store(*_split(root), access or AwsAccess())
    return FolderStore(Path(root))


def _split(root: str) -> tuple[str, str]:
    bucket, _, prefix = root.removeprefix(_SCHEME).partition("/")
    return bucket, prefix.strip("/")
