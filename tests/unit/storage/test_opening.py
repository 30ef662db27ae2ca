from pathlib import Path

import pytest

from models.storage import FolderStore, S3Store, StorageError, check_root, open_store
from tests.unit.storage.aws_server import aws_server


def test_an_absolute_folder_opens_as_one(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    assert isinstance(store, FolderStore)
    assert (store.path("a/b"), store.uri("a/b")) == (tmp_path / "a/b", None)


@pytest.mark.parametrize(
    ("root", "uri"),
    [
        ("s3://bucket", "s3://bucket/a"),
        ("s3://bucket/", "s3://bucket/a"),
        ("s3://bucket/some/prefix/", "s3://bucket/some/prefix/a"),
    ],
)
def test_a_bucket_opens_with_and_without_a_prefix(root: str, uri: str) -> None:
    store = open_store(root, aws_server())
    assert isinstance(store, S3Store)
    assert store.uri("a") == uri


@pytest.mark.parametrize(
    "root", ["", "data", "./data", "s3://", "s3://B", "s3://ab", "s3://bucket/a b", "gs://bucket"]
)
def test_anything_else_is_refused(root: str) -> None:
    with pytest.raises(StorageError):
        check_root(root)
