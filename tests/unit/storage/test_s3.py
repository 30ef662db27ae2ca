import dataclasses
import logging
import socket

import pytest

from models.storage import AwsAccess, ObjectExists, S3Store, StorageError, StorageUnavailable
from models.storage import aws as aws_module
from tests.unit.storage.aws_server import aws_server, new_bucket


def test_two_prefixes_of_a_bucket_are_two_stores() -> None:
    bucket = new_bucket()
    one, two = S3Store(bucket, "one", aws_server()), S3Store(bucket, "two", aws_server())
    whole = S3Store(bucket, "", aws_server())
    one.create("a", b"1")
    two.create("a", b"2")
    assert (whole.read("one/a"), whole.read("two/a")) == (b"1", b"2")
    assert two.uri("a") == f"s3://{bucket}/two/a"


@pytest.mark.slow
def test_more_objects_than_one_reply_holds_are_listed_and_deleted() -> None:
    store = S3Store(new_bucket(), "p", aws_server())
    names = [f"{number:04}" for number in range(1005)]
    for name in names:
        store.write(f"a/{name}", b"")
    assert store.children("a") == names
    assert store.page("a", "", 1003) == names[:1003]
    store.delete_tree("a")
    assert store.children("a") == []


def test_a_folder_made_in_a_console_is_no_child_of_itself() -> None:
    bucket = new_bucket()
    aws_server().client("s3").put_object(Bucket=bucket, Key="root/jobs/pending/", Body=b"")
    store = S3Store(bucket, "root", aws_server())
    assert store.children("jobs") == ["pending"]
    assert store.children("jobs/pending") == []


def test_a_create_whose_answer_was_lost_is_known_as_ones_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = S3Store(new_bucket(), "p", aws_server())
    put_if_absent = store._put_if_absent

    def put_twice(key: str, content: bytes, writer: str) -> bool:
        put_if_absent(key, content, writer)
        return put_if_absent(key, content, writer)

    monkeypatch.setattr(store, "_put_if_absent", put_twice)
    store.create("a", b"1")
    with pytest.raises(ObjectExists):
        store.create("a", b"1")


def test_a_missing_bucket_is_named() -> None:
    store = S3Store("no-such-bucket", "p", aws_server())
    with pytest.raises(StorageUnavailable, match="in no-such-bucket: NoSuchBucket"):
        store.check_writable()


def test_a_server_that_is_gone_is_a_typed_error_without_a_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(aws_module, "_MAX_ATTEMPTS", 1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    access = AwsAccess("AKIAKEY", "very-secret", "token-secret", "us-east-1", url)
    assert "secret" not in repr(access) and "AKIAKEY" not in repr(access)
    store = S3Store("bucket", "p", access)
    with caplog.at_level(logging.INFO), pytest.raises(StorageUnavailable) as refused:
        store.read("a")
    shown = caplog.text + str(refused.value) + repr(refused.value)
    assert "EndpointConnectionError" in shown
    assert "secret" not in shown and "AKIAKEY" not in shown and url not in shown


def test_without_credentials_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    access = dataclasses.replace(aws_server(), access_key_id=None, secret_access_key=None)
    with pytest.raises(StorageUnavailable, match="NoCredentialsError"):
        S3Store("bucket", "p", access).read("a")


def test_the_address_of_the_server_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = new_bucket()
    access = aws_server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(access.endpoint_url))
    S3Store(bucket, "p", dataclasses.replace(access, endpoint_url=None)).write("a", b"1")
    assert S3Store(bucket, "p", access).read("a") == b"1"


def test_a_prefix_that_is_no_key_is_refused() -> None:
    with pytest.raises(StorageError, match="not a storage key"):
        S3Store("bucket", "a/../b", aws_server())
