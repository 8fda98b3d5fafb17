"""Running chronik-bench, and reading what it writes.

CHRONIK_BENCH  path of the binary (default target/release/chronik-bench)
"""

import base64
import json
import os
import signal
import struct
import subprocess
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from clients.deadline import wait_until
from clients.harness import REPOSITORY, die_with_parent

OK, FAILED, USAGE, BOUND_MISSED, UNREACHABLE = range(5)
# Far above what any run here takes on a busy machine: for those that hang.
RUN_DEADLINE_S = 120.0
# First words of the two layers of an encoded histogram.
COMPRESSED_HISTOGRAM = 0x1C849314
HISTOGRAM = 0x1C849313
HISTOGRAM_HEADER_BYTES = 40


def bench_binary() -> Path:
    path = Path(os.environ.get("CHRONIK_BENCH", REPOSITORY / "target/release/chronik-bench"))
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run: cargo build --release -p chronik-bench")
    return path


@dataclass(frozen=True)
class Ended:
    """A run that has ended."""

    code: int
    seconds: float
    out: str
    err: str

    def expect(self, code: int) -> Self:
        assert self.code == code, f"exit code {self.code}, expected {code}\n{self.out}\n{self.err}"
        return self


class Bench:
    """A run that goes on."""

    def __init__(self, *arguments: str | int | Path):
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [str(bench_binary()), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )

    def wait(self) -> Ended:
        try:
            out, err = self._process.communicate(timeout=RUN_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, err = self._process.communicate()
            raise AssertionError(f"still running after {RUN_DEADLINE_S:g} s\n{out}\n{err}") from None
        return Ended(self._process.returncode, time.monotonic() - self._began, out, err)

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)


def bench(*arguments: str | int | Path) -> Ended:
    """Runs the tool to its end."""
    return Bench(*arguments).wait()


def measured(folder: Path, *arguments: str | int | Path) -> dict:
    """Runs the tool, which must end well, and returns its document."""
    path = folder / "result.json"
    bench(*arguments, "--json", path).expect(OK)
    return json.loads(path.read_text())


def wait_for_records(path: Path, after_line: int = 0) -> None:
    """Until records were answered in a second that begins after this line of the file, 0 being its header.

    A line is no sign of records: the first one may tell of the last moment of the warm-up alone."""

    def answered() -> bool:
        lines = path.read_text().splitlines()[after_line + 1 :] if path.exists() else []
        return any(int(line.split(",")[2]) > 0 for line in lines if line.count(",") > 2)

    wait_until("a second with answers", RUN_DEADLINE_S, answered)


def histogram_count(encoded: str) -> int:
    """Number of values in a histogram of an interval log."""
    layer = base64.b64decode(encoded)
    cookie, length = struct.unpack_from(">II", layer)
    assert cookie == COMPRESSED_HISTOGRAM and length == len(layer) - 8
    layer = zlib.decompress(layer[8:])
    cookie, length = struct.unpack_from(">II", layer)
    assert cookie == HISTOGRAM and length == len(layer) - HISTOGRAM_HEADER_BYTES
    return sum(count for count in zigzag_numbers(layer[HISTOGRAM_HEADER_BYTES:]) if count > 0)


def zigzag_numbers(data: bytes) -> list[int]:
    """Counts above zero, and below zero lengths of gaps."""
    numbers, value, shift = [], 0, 0
    for byte in data:
        value |= (byte if shift == 56 else byte & 0x7F) << shift
        if byte & 0x80 and shift < 56:
            shift += 7
        else:
            numbers.append((value >> 1) ^ -(value & 1))
            value, shift = 0, 0
    return numbers
