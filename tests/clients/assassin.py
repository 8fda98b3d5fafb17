"""Kills a process at a chosen moment of its life with its data directory.

A process of its own, because the moment is short: it must not wait for the suite's interpreter. Run as

    python assassin.py MOMENT DATA_DIR DELAY_US TIMEOUT_S

It prints "armed" when it watches, reads the pid of its victim from its input, waits for the moment and DELAY_US more,
kills, and prints whether the moment came.
"""

import contextlib
import ctypes
import os
import select
import signal
import struct
import sys
import time
from pathlib import Path

IN_OPEN, IN_CREATE = 0x20, 0x100
EVENT = struct.Struct("iIII")
PWRITEV = {"x86_64": "296", "aarch64": "70"}.get(os.uname().machine)


class Watch:
    """inotify on directories; hands out (mask, directory, name)."""

    def __init__(self):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(os.O_NONBLOCK)
        self._directories: dict[int, Path] = {}

    def add(self, directory: Path, mask: int) -> None:
        number = self._libc.inotify_add_watch(self.fd, os.fsencode(directory), mask)
        if number < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {directory}")
        self._directories[number] = directory

    def events(self, timeout_s: float) -> list[tuple[int, Path, str]]:
        select.select([self.fd], [], [], timeout_s)
        try:
            raw = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(raw):
            number, mask, _cookie, length = EVENT.unpack_from(raw, at)
            name = raw[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0").decode()
            found.append((mask, self._directories[number], name))
            at += EVENT.size + length
        return found


class Roll:
    """A segment file appeared that is not the first of its log."""

    def __init__(self, data_dir: Path):
        self.watch = Watch()
        self.watch.add(data_dir / "topics", IN_CREATE)
        for directory in (data_dir / "topics").iterdir():
            self.watch.add(directory, IN_CREATE)

    def wait(self, _pid: int, until: float) -> bool:
        while time.monotonic() < until:
            for _mask, directory, name in self.watch.events(0.1):
                if directory.name == "topics":
                    self.watch.add(directory / name, IN_CREATE)
                elif name.endswith(".log") and int(name.split(".")[0]) > 0:
                    return True
        return False


class Swap:
    """A file appeared that compaction writes to put in the place of others: its name has a generation."""

    def __init__(self, data_dir: Path):
        self.watch = Watch()
        topics = data_dir / "topics"
        # The server makes it when the first segment is written.
        topics.mkdir(exist_ok=True)
        self.watch.add(topics, IN_CREATE)
        for directory in topics.iterdir():
            self.watch.add(directory, IN_CREATE)

    def wait(self, _pid: int, until: float) -> bool:
        while time.monotonic() < until:
            for _mask, directory, name in self.watch.events(0.1):
                if directory.name == "topics":
                    self.watch.add(directory / name, IN_CREATE)
                elif name.endswith(".log") and name.count(".") > 1:
                    return True
        return False


class Checkpoint:
    """The file of a new checkpoint appeared."""

    def __init__(self, data_dir: Path):
        self.watch = Watch()
        self.watch.add(data_dir, IN_CREATE)

    def wait(self, _pid: int, until: float) -> bool:
        while time.monotonic() < until:
            for _mask, _directory, name in self.watch.events(0.1):
                if name.startswith("checkpoint.") and name.endswith(".tmp"):
                    return True
        return False


class Snapshot:
    """The file of a new snapshot of the metadata appeared."""

    def __init__(self, data_dir: Path):
        self.watch = Watch()
        self.watch.add(data_dir / "metadata", IN_CREATE)

    def wait(self, _pid: int, until: float) -> bool:
        while time.monotonic() < until:
            if any(name.endswith(".checkpoint.tmp") for _mask, _directory, name in self.watch.events(0.1)):
                return True
        return False


class Recovery:
    """Recovery reads its first checkpoint."""

    def __init__(self, data_dir: Path):
        self.watch = Watch()
        self.watch.add(data_dir, IN_OPEN)

    def wait(self, _pid: int, until: float) -> bool:
        while time.monotonic() < until:
            if any(name.startswith("checkpoint.") for _mask, _directory, name in self.watch.events(0.1)):
                return True
        return False


class Commit:
    """The journal thread, or an event loop in its place, is inside its write."""

    def __init__(self, _data_dir: Path):
        """Needs nothing but the pid."""

    def wait(self, pid: int, until: float) -> bool:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        committing = [task for task in tasks if (task / "comm").read_text().strip() in ("journal", "loop")]
        with contextlib.ExitStack() as stack:
            calls = [stack.enter_context((task / "syscall").open("rb", buffering=0)) for task in committing]
            while time.monotonic() < until:
                if any(os.pread(call.fileno(), 64, 0).split()[0].decode() == PWRITEV for call in calls):
                    return True
        return False


MOMENTS = {
    "roll": Roll,
    "swap": Swap,
    "checkpoint": Checkpoint,
    "snapshot": Snapshot,
    "recovery": Recovery,
    "commit": Commit,
}


def main() -> None:
    name, data_dir, delay_us, timeout_s = sys.argv[1:]
    moment = MOMENTS[name](Path(data_dir))
    print("armed", flush=True)
    pid = int(sys.stdin.readline())
    came = moment.wait(pid, time.monotonic() + float(timeout_s))
    if came and int(delay_us):
        time.sleep(int(delay_us) / 1e6)
    os.kill(pid, signal.SIGKILL)
    print("came" if came else "missed", flush=True)


if __name__ == "__main__":
    main()
