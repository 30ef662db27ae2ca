"""Reads data files that other packages ship, without importing those packages.

`g2pk2` and `g2p_en` hold the rules and weights of the reference front end, but importing either one
tries to download NLTK corpora (and `g2pk2` may call pip). Their data files are all that is needed.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def packaged_file(package: str, path: str) -> Path:
    """Path of a data file inside an installed package.

    Args:
        package: name of the distribution, such as ``"g2pk2"``.
        path: the file's path relative to site-packages, such as ``"g2pk2/table.csv"``.

    Raises:
        RuntimeError: if the package or the file is missing from this environment.
    """
    try:
        file = Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError as error:
        raise RuntimeError(f"the text front end needs the package {package!r}") from error
    if not file.is_file():
        raise RuntimeError(f"the installed package {package!r} has no file {path!r}")
    return file
