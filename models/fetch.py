"""`python -m models.fetch`: put the small embedded models in place; what is there is kept."""

from __future__ import annotations

import argparse
import sys

from models.assets import ASSETS, AssetError, ensure
from models.persona.base_model import ensure_base_model
from models.speaker import ensure_speaker_encoder


def main() -> int:
    """Fetch, verify and convert every embedded model; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.fetch", description=__doc__)
    parser.parse_args()
    try:
        for asset in ASSETS.values():
            ensure(asset)
        ensure_base_model()
        ensure_speaker_encoder()
    except AssetError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
