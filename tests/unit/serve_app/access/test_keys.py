import os
from pathlib import Path

import pytest

from serve_app.access.__main__ import main
from serve_app.access.keys import InvalidKeys, KeyFile, KeyRing, key_ring, new_key


def test_only_the_token_of_a_key_opens() -> None:
    alice, token = new_key("alice")
    bob, _ = new_key("bob")
    ring = KeyRing([alice, bob], None)
    assert ring.find(token) == alice
    assert ring.find(token[:-1]) is None
    assert ring.find(alice.sha256) is None
    assert ring.find("") is None


def test_a_token_can_not_be_found_in_what_is_kept(tmp_path: Path) -> None:
    key, token = new_key("alice")
    KeyFile(tmp_path / "keys").replace([key])
    assert token not in (tmp_path / "keys").read_text()
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys")
    ring = KeyRing([], file)
    key, token = new_key("alice")
    assert ring.find(token) is None
    file.replace([key])
    assert ring.find(token) == key
    file.replace([])
    os.utime(file.path, ns=(1, 1))
    assert ring.find(token) is None


def test_an_empty_file_lets_nobody_in_and_no_file_lets_everybody(tmp_path: Path) -> None:
    assert key_ring("", None).is_empty
    assert not key_ring("", tmp_path / "keys").is_empty


def test_keys_come_from_a_variable_too() -> None:
    alice, token = new_key("alice")
    bob, _ = new_key("bob")
    assert key_ring(f"{alice}, {bob}", None).find(token) == alice


def test_a_token_put_where_its_hash_belongs_is_not_repeated() -> None:
    _, token = new_key("alice")
    with pytest.raises(InvalidKeys) as raised:
        key_ring(f"alice:{token}", None)
    assert token not in str(raised.value)


def test_the_command_makes_lists_and_revokes_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ["--file", str(tmp_path / "keys")]
    assert main([*file, "new", "alice"]) == 0
    token = capsys.readouterr().out.split()[0]
    assert KeyRing([], KeyFile(tmp_path / "keys")).find(token) is not None
    assert main([*file, "new", "alice"]) == 1
    assert main([*file, "list"]) == 0
    assert capsys.readouterr().out == "alice\n"
    assert main([*file, "revoke", "alice"]) == 0
    assert KeyRing([], KeyFile(tmp_path / "keys")).find(token) is None
    assert main([*file, "revoke", "alice"]) == 1
    assert main([*file, "new", "../alice"]) == 1
