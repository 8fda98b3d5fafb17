"""Fixtures of the hostile battery."""

import os
from pathlib import Path

import pytest

from clients.harness import REPOSITORY


@pytest.fixture(scope="session")
def driver() -> Path:
    """The sender of hostile frames, `tools/hostile`."""
    path = Path(os.environ.get("CHRONIK_HOSTILE", REPOSITORY / "target/release/chronik-hostile"))
    if not path.is_file():
        how = f"{path} is missing; run: cargo build --release -p chronik-hostile"
        if os.environ.get("CI"):
            pytest.fail(how)
        pytest.skip(how)
    return path
