"""A small filesystem of its own in a file: one that can be full, and whose power can be cut.

Mounting it needs root and a loop device; elsewhere a test that asks for it is skipped and says so.
"""

import contextlib
import ctypes
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.deadline import Deadline
from clients.harness import Broker, ChronikBroker

STILL_DEADLINE_S = 20.0
# Of /sys/dev/block/*/stat: writes that were completed, and requests of any kind that are under way.
WRITES_FIELD, UNDER_WAY_FIELD, DISCARDS_FIELD = 4, 8, 11
SYNC_FILE_RANGE_WRITE_AND_WAIT = 7

# Nothing becomes durable by itself while a test lasts: neither every few seconds, nor when a new file takes the place
# of an old one.
HARSH = "commit=300,noauto_da_alloc"

_libc = ctypes.CDLL(None, use_errno=True)


class LoopDisk:
    """An ext4 filesystem in an image file, mounted at `path`."""

    def __init__(self, folder: Path, size: int, options: str = "defaults"):
        self.path = folder / "mnt"
        self._folder = folder
        self._options = options
        self._number = 0
        self.path.mkdir()
        with self.image.open("wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(self.image)], check=True)

    @property
    def image(self) -> Path:
        return self._folder / f"disk-{self._number}.img"

    def mount(self) -> bool:
        """Whether it is mounted now."""
        command = ["mount", "-o", f"loop,{self._options}", str(self.image), str(self.path)]
        return subprocess.run(command).returncode == 0

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.path)], check=True)

    def remove(self) -> None:
        """Unmounts it where it is mounted, and deletes the image."""
        if self.path.is_mount():
            self.unmount()
        self.image.unlink()

    def broker(self, root: Path, properties: dict[str, str]) -> Broker:
        """A broker whose data is here, while its output is in `root`."""
        broker = ChronikBroker(root, properties)
        broker.data_dir = self.path / "data"
        return broker

    def copy(self) -> Path:
        """What the disk holds at this moment, without anything that is only in memory.

        Whoever writes must stand still. The kernel may still write by itself: a copy during which the device wrote
        anything is no moment of this disk, and is made again.
        """
        target = self._folder / f"disk-{self._number + 1}.img"
        deadline = Deadline(STILL_DEADLINE_S)
        while True:
            deadline.check("the disk to stand still")
            before = self._activity()
            subprocess.run(["cp", "--sparse=always", str(self.image), str(target)], check=True)
            if before is not None and before == self._activity():
                return target

    def restore(self, copy: Path) -> None:
        """Comes up again, unmounted before, with what the copy holds."""
        self.image.unlink()
        self._number += 1
        assert copy == self.image
        assert self.mount(), "the copy can not be mounted"

    def check(self) -> None:
        """The unmounted filesystem is sound."""
        checked = subprocess.run(["e2fsck", "-fn", str(self.image)], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout

    def _activity(self) -> tuple[str, str] | None:
        """How much the device has written, or None while it is at work."""
        device = self.path.stat().st_dev
        fields = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()
        return None if fields[UNDER_WAY_FIELD] != "0" else (fields[WRITES_FIELD], fields[DISCARDS_FIELD])


def make_disk(folder: Path, size: int, options: str = "defaults") -> LoopDisk:
    """A mounted disk, or a skip that says what is missing."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("NOT TESTED: a disk of its own needs root and mkfs.ext4")
    disk = LoopDisk(folder, size, options)
    if not disk.mount():
        disk.remove()
        pytest.skip("NOT TESTED: a disk of its own needs a loop mount, which is not permitted here")
    return disk


@contextlib.contextmanager
def broker_on(disk: LoopDisk, root: Path, properties: dict[str, str]) -> Iterator[Broker]:
    """A broker that has ended, one way or the other, before the disk is removed."""
    broker = disk.broker(root, properties)
    try:
        yield broker
    finally:
        if broker.process is not None:
            broker.kill9()
        disk.remove()


def write_back_some(folder: Path, chance: random.Random) -> None:
    """Does what a kernel may do at any time: writes some of what is only in memory, in any order.

    Of each file nothing, a stretch of its pages without its size, or all of it.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    chance.shuffle(files)
    choices: list[Callable[[int, int], object]] = [_leave, _write_stretch(chance), lambda fd, _size: os.fdatasync(fd)]
    for path in files:
        # Files come and go meanwhile.
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            chance.choice(choices)(file.fileno(), os.fstat(file.fileno()).st_size)


def stand_still(broker: Broker) -> None:
    """SIGSTOP, and every thread has stopped: none is inside a write any more."""
    broker.process.send_signal(signal.SIGSTOP)
    deadline = Deadline(STILL_DEADLINE_S)
    while not all(_stopped(task) for task in Path(f"/proc/{broker.pid}/task").iterdir()):
        deadline.check("all threads to stop")
        time.sleep(0)


def _stopped(task: Path) -> bool:
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def _leave(_fd: int, _size: int) -> None:
    """Stays in memory."""


def _write_stretch(chance: random.Random) -> Callable[[int, int], object]:
    def write(fd: int, size: int) -> None:
        start = chance.randint(0, size)
        length = chance.randint(1, max(1, size - start))
        _libc.sync_file_range(
            fd, ctypes.c_long(start), ctypes.c_long(length), ctypes.c_uint(SYNC_FILE_RANGE_WRITE_AND_WAIT)
        )

    return write
