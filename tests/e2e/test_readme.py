import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

README = Path(__file__).resolve().parents[2] / "README.md"
FAIL_ON_HTTP_ERRORS = 'curl() { command curl --fail "$@"; }; set -eu -o pipefail\n'


def curl_blocks() -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", README.read_text(), re.M | re.S)
    return [block for block in blocks if re.search("^curl", block, re.M)]


@pytest.mark.parametrize("block_idx", range(len(curl_blocks())))
def test_commands_of_the_readme_succeed(service: Service, tmp_path: Path, block_idx: int) -> None:
    block = curl_blocks()[block_idx].replace("http://127.0.0.1:8000", service.url)
    result = subprocess.run(
        ["bash", "-c", FAIL_ON_HTTP_ERRORS + block],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


def test_the_readme_shows_commands() -> None:
    assert len(curl_blocks()) >= 2
