"""Servers that must not start."""

import subprocess

from clients.harness import Broker

DEADLINE_S = 30.0
# EX_IOERR of sysexits: what is on the disk can not be served.
EXIT_DISK = 74


def refusal(broker: Broker, expected_code: int | None = EXIT_DISK) -> str:
    """What a server printed that refused to start, without a panic, with this exit code (None: any failure)."""
    try:
        result = subprocess.run(broker.command(), capture_output=True, text=True, timeout=DEADLINE_S, cwd=broker.root)
    except subprocess.TimeoutExpired as served:
        raise AssertionError(f"it served for {DEADLINE_S:g} s instead of refusing:\n{served.stderr}") from None
    said = result.stdout + result.stderr
    assert "panicked" not in said, said
    assert result.returncode > 0, f"ended with {result.returncode}:\n{said}"
    if expected_code is not None:
        assert result.returncode == expected_code, f"exit code {result.returncode}:\n{said}"
    return said
