"""The storage root: voices, personas, characters and job results as plain files."""

from models.storage.objects import (
    FolderStore,
    ObjectExists,
    ObjectNotFound,
    ObjectStore,
    StorageError,
)
from models.storage.records import (
    InvalidReference,
    RecordId,
    UnknownRecord,
    VersionedRecords,
    embedded_store,
)

__all__ = [
    "FolderStore",
    "InvalidReference",
    "ObjectExists",
    "ObjectNotFound",
    "ObjectStore",
    "RecordId",
    "StorageError",
    "UnknownRecord",
    "VersionedRecords",
    "embedded_store",
]
