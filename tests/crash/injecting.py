"""System calls of a running server, seen and made to fail by strace."""

import shutil
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from clients.deadline import wait_until
from clients.harness import Broker

ATTACH_DEADLINE_S = 20.0
WRITES = "pwrite64,pwritev,pwritev2"
SYNCS = "fsync,fdatasync"


class Strace:
    """While entered, strace is attached to all threads of a server and reports the calls that are asked for."""

    def __init__(self, broker: Broker, options: Iterable[str]):
        strace = shutil.which("strace")
        if strace is None:
            pytest.skip("NOT TESTED: this needs strace")
        self._said = broker.root / "strace.err"
        self.log_path = broker.root / "strace.log"
        self._command = [strace, "-f", "-y", "-ttt", "-o", str(self.log_path), *options, "-p", str(broker.pid)]

    def __enter__(self) -> "Strace":
        with self._said.open("w") as errors:
            self._process = subprocess.Popen(self._command, stderr=errors)
        wait_until("strace to attach", ATTACH_DEADLINE_S, self._attached)
        return self

    def _attached(self) -> bool:
        said = self._said.read_text()
        if self._process.poll() is not None:
            if "not permitted" in said:
                pytest.skip("NOT TESTED: ptrace is not permitted here")
            raise AssertionError(said)
        return "attached" in said

    def __exit__(self, *_exc) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(ATTACH_DEADLINE_S)

    def lines(self) -> list[str]:
        return self.log_path.read_text().splitlines()


class FailingCalls(Strace):
    """While entered, some of the calls on these files (of all files, without any) fail; at least one must have."""

    # What strace says behind a call that it has changed.
    mark = "(INJECTED)"

    def __init__(self, broker: Broker, files: Iterable[Path], calls: str, fault: str):
        named = [argument for path in files for argument in ("-P", str(path))]
        super().__init__(broker, [*named, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"])

    def __exit__(self, *exc) -> None:
        super().__exit__(*exc)
        if exc[0] is None:
            assert self.happened(), f"strace marked no call with {self.mark}"

    def happened(self) -> bool:
        """Whether a call was changed so far."""
        return self.mark in self.log_path.read_text()


class SlowCalls(FailingCalls):
    """While entered, all of the calls on these files take longer; `where` is "enter" or "exit"."""

    mark = "(DELAYED)"

    def __init__(self, broker: Broker, files: Iterable[Path], calls: str, where: str, seconds: float):
        super().__init__(broker, files, calls, f"delay_{where}={int(seconds * 1e6)}")
