"""`python -m serve_app.access new|list|revoke`: the keys in the file of BAEWOO_API_KEYS_FILE."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from serve_app.access.keys import InvalidKeys, KeyFile, new_key
from serve_app.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m serve_app.access", description=__doc__)
    parser.add_argument("--file", type=Path, default=Settings().baewoo_api_keys_file)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("new", help="make a key and show it, once").add_argument("name")
    commands.add_parser("list", help="show the names of all keys")
    commands.add_parser("revoke", help="forget a key").add_argument("name")
    options = parser.parse_args(arguments)
    if options.file is None:
        parser.error("name a file: set BAEWOO_API_KEYS_FILE, or give --file")
    try:
        print(_carry_out(options.command, KeyFile(options.file.absolute()), options))
    except InvalidKeys as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _carry_out(command: str, file: KeyFile, options: argparse.Namespace) -> str:
    keys = file.keys()
    if command == "list":
        return "\n".join(key.name for key in keys) or "no keys"
    others = [key for key in keys if key.name != options.name]
    if command == "revoke":
        if len(others) == len(keys):
            raise InvalidKeys(f"no key is called {options.name!r}")
        file.replace(others)
        return f"{options.name} is revoked"
    if len(others) < len(keys):
        raise InvalidKeys(f"a key is called {options.name!r} already; revoke it first")
    key, token = new_key(options.name)
    file.replace([*keys, key])
    return f"{token}\nKeep it: only its hash is stored in {file.path}."


if __name__ == "__main__":
    sys.exit(main())
