"""The storage root: voices, personas, characters and job results as plain objects."""

from models.storage.aws import AwsAccess
from models.storage.folder import FolderStore
from models.storage.objects import (
    ObjectExists,
    ObjectNotFound,
    ObjectStore,
    StorageError,
    StorageUnavailable,
)
from models.storage.opening import check_root, open_store
from models.storage.records import (
    InvalidReference,
    RecordId,
    UnknownRecord,
    VersionedRecords,
    embedded_store,
)
from models.storage.s3 import S3Store

__all__ = [
    "AwsAccess",
    "FolderStore",
    "InvalidReference",
    "ObjectExists",
    "ObjectNotFound",
    "ObjectStore",
    "RecordId",
    "S3Store",
    "StorageError",
    "StorageUnavailable",
    "UnknownRecord",
    "VersionedRecords",
    "check_root",
    "embedded_store",
    "open_store",
]
