"""What a request costs the server, counted by callgrind: the same on a busy machine as on an idle one.

A server is run twice, with few and with many records; the difference is what the records between cost, without the
start.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from benching import OK, bench

from clients.harness import ChronikBroker

# How every allocation of a Rust program reaches the allocator.
ALLOCATIONS = re.compile(r"mi_(malloc|zalloc|realloc)(_aligned)?$")
NAME = re.compile(r"c?fn=\((\d+)\)(?: (.+))?")
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Counts:
    """Instructions outside the kernel, and calls of the allocator."""

    instructions: float
    allocations: float

    def between(self, fewer: "Counts", records: int) -> "Counts":
        """Of each record by which two runs differ."""
        return Counts(
            (self.instructions - fewer.instructions) / records, (self.allocations - fewer.allocations) / records
        )


class CountedBroker(ChronikBroker):
    """A server whose instructions are counted."""

    ready_deadline_s = DEADLINE_S

    @property
    def profile(self) -> Path:
        return self.root / "callgrind.out"

    def command(self) -> list[str]:
        return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.profile}", *super().command()]


def per_record(root: Path, few: int, many: int, *load: str | int) -> Counts:
    """What one record of this load costs."""
    return counted(root / "many", many, *load).between(counted(root / "few", few, *load), many - few)


def counted(root: Path, records: int, *load: str | int) -> Counts:
    """What a server does from its start to its end, with so many records in between."""
    root.mkdir()
    broker = CountedBroker(root)
    broker.start()
    try:
        arguments = ["--driver", "native", "--create-topic", "--warmup", 0, "--message-count", records]
        bench("-b", broker.bootstrap, *arguments, *load).expect(OK)
        broker.stop()
    finally:
        if broker.process is not None:
            broker.kill9()
    return read(broker.profile.read_text())


def read(profile: str) -> Counts:
    """Adds up a profile of callgrind.

    Its functions have their names once and numbers from then on; `calls=` follows the function that is called.
    """
    names: dict[str, str] = {}
    instructions, allocations, called = 0, 0, ""
    for line in profile.splitlines():
        if found := NAME.match(line):
            number, name = found.groups()
            names.setdefault(number, name or "")
            called = names[number]
        elif line.startswith("calls=") and ALLOCATIONS.match(called):
            allocations += int(line.removeprefix("calls=").split()[0])
        elif line.startswith("totals:"):
            instructions = int(line.removeprefix("totals:"))
    assert instructions and allocations, "not a profile of a server"
    return Counts(instructions, allocations)
