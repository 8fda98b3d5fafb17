"""Programs that suites drive."""

import os
import shutil

import pytest


def require_tool(name: str) -> str:
    """The path of a program the suite drives. Missing: skipped at home, a failure in CI."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and CI runs every suite")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path
