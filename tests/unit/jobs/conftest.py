from pathlib import Path

import pytest

from models.storage import ObjectStore, open_store
from tests.unit.storage.aws_server import aws_server, new_bucket


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty storage root of each kind."""
    if request.param == "folder":
        return open_store(str(tmp_path / "root"))
    return open_store(f"s3://{new_bucket()}/root", aws_server())
