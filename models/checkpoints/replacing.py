"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_READABLE_BY_ALL = 0o644


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which takes its place when the block ends.

    When the block fails nothing of it stays. A process that is killed leaves at most the other
    file, ``<name>.<random>.partial``; ``path`` is what it was.

    Raises:
        OSError: the folder cannot be written to.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".partial")
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(_READABLE_BY_ALL)  # safetensors and mkstemp let the owner alone read
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
