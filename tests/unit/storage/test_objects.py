"""What every store must do, shown with a folder and with S3."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from models.storage import ObjectExists, ObjectNotFound, ObjectStore, StorageError


def test_what_is_written_is_read_back(store: ObjectStore) -> None:
    store.write("jobs/2026/a.json", b"{}")
    assert store.read("jobs/2026/a.json") == b"{}"
    assert store.size("jobs/2026/a.json") == 2


def test_write_replaces_and_create_does_not(store: ObjectStore) -> None:
    store.write("a", b"1")
    store.write("a", b"2")
    with pytest.raises(ObjectExists):
        store.create("a", b"2")
    assert store.read("a") == b"2"


def test_of_many_creators_one_succeeds_and_its_content_stays(store: ObjectStore) -> None:
    def create(content: bytes) -> bytes | None:
        try:
            store.create("once", content)
        except ObjectExists:
            return None
        return content

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(create, [b"%d" % i for i in range(16)]))
    (winner,) = [content for content in created if content is not None]
    assert store.read("once") == winner


def test_a_range_is_that_part_of_the_object(store: ObjectStore) -> None:
    store.write("audio", b"0123456789")
    assert store.read_range("audio", 2, 3) == b"234"
    assert store.read_range("audio", 8, 100) == b"89"
    assert store.read_range("audio", 10, 1) == b""


@pytest.mark.parametrize(("start", "num_bytes"), [(-1, 1), (0, 0), (0, -1)])
def test_a_range_that_no_object_has_is_refused(
    store: ObjectStore, start: int, num_bytes: int
) -> None:
    with pytest.raises(StorageError, match="not a range"):
        store.read_range("audio", start, num_bytes)


def test_children_are_objects_and_folders_of_one_level(store: ObjectStore) -> None:
    for key in ("a/c", "a/b/1", "a/b/2", "a/d/e/f", "ab/x"):
        store.write(key, b"")
    assert store.children("a") == ["b", "c", "d"]
    assert store.children("nothing") == []


def test_pages_of_objects_follow_each_other_and_leave_folders_out(store: ObjectStore) -> None:
    for key in ("a/1", "a/2", "a/2.x", "a/4/1", "a/3", "a/1-x/y", "ab", "b/4"):
        store.write(key, b"")
    assert store.page("a", "", 2) == ["1", "2"]
    assert store.page("a", "2", 2) == ["2.x", "3"]
    assert store.page("a", "3", 2) == store.page("nothing", "", 2) == []
    assert store.page("a", "", 100) == ["1", "2", "2.x", "3"]


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store: ObjectStore) -> None:
    store.write("a/b", b"1")
    store.delete("a/b")
    store.delete("a/b")
    with pytest.raises(ObjectNotFound):
        store.read("a/b")
    store.create("a/b", b"2")


def test_deleting_a_tree_takes_all_below_it_and_nothing_beside_it(store: ObjectStore) -> None:
    for key in ("v/a/1/x", "v/a/2/x", "v/a.json", "v/ab/x"):
        store.write(key, b"")
    store.delete_tree("v/a")
    store.delete_tree("v/a")
    assert store.children("v") == ["a.json", "ab"]
    assert store.children("v/a") == []


@pytest.mark.parametrize("key", ["nothing/here", "a/b", "a/b/c/d"])
def test_a_missing_object_is_not_found(store: ObjectStore, key: str) -> None:
    store.write("a/b/c", b"")
    for read in (store.read, store.size, lambda key: store.read_range(key, 0, 1)):
        with pytest.raises(ObjectNotFound):
            read(key)


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a\0b", "가"],
)
def test_a_key_can_not_leave_the_root(store: ObjectStore, key: str) -> None:
    for call in (store.read, store.delete, store.delete_tree, store.children, store.uri):
        with pytest.raises(StorageError, match="not a storage key"):
            call(key)


def test_a_store_that_can_be_written_says_so_and_stays_empty(store: ObjectStore) -> None:
    store.check_writable()
    store.write("a/b", b"")
    with pytest.raises(ObjectNotFound):
        store.read("probe")
