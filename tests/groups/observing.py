"""Somebody who asks again and again what a group has committed, and what members noted of themselves."""

import threading
from pathlib import Path
from typing import NamedTuple

from asking import Asker
from protocol import AWAY, NONE

ASK_EVERY_S = 0.02
ANSWER_DEADLINE_S = 5.0
JOIN_DEADLINE_S = 30.0


class Observer:
    """Polls OffsetFetch from a thread of its own, through any number of restarts of the broker."""

    def __init__(self, port: int, group: str, topic: str, partitions: int):
        self.latest: dict[int, int] = {}
        self.answers = 0
        self.problems: list[str] = []
        self._question = (group, topic, partitions)
        self._port = port
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Observer":
        self._thread.start()
        return self

    def __exit__(self, *_exc) -> None:
        self._stopping.set()
        self._thread.join(JOIN_DEADLINE_S)

    def check(self) -> None:
        assert not self.problems, self.problems[:5]

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with Asker(self._port, ANSWER_DEADLINE_S) as asker:
                    self._observe(asker)
            except OSError:
                self._stopping.wait(ASK_EVERY_S)

    def _observe(self, asker: Asker) -> None:
        while not self._stopping.wait(ASK_EVERY_S):
            error, offsets = asker.fetch(*self._question)
            if error in AWAY:
                # Finding the coordinator makes its topic where it is not there yet.
                asker.find_coordinator(self._question[0])
                continue
            if error != NONE:
                self.problems.append(f"OffsetFetch answered {error}")
                continue
            self.answers += 1
            for partition, offset in self.latest.items():
                if offsets.get(partition, -1) < offset:
                    self.problems.append(f"{partition}: {offset} committed, then {offsets.get(partition)}")
            self.latest.update(offsets)


class Read(NamedTuple):
    """A record that a member read."""

    partition: int
    offset: int
    checksum: int


class Assigned(NamedTuple):
    """A partition that a member was given, and where it then began to read, if it did."""

    partition: int
    committed: int
    first: int | None


class Account(NamedTuple):
    """All that one member noted."""

    reads: list[Read]
    assigned: list[Assigned]
    committed: dict[int, int]


def read_notes(path: Path) -> Account:
    """What a member noted; its last line may be cut off by its death."""
    account = Account([], [], {})
    open_at: dict[int, int] = {}
    whole, _newline, _cut = path.read_text().rpartition("\n")
    for line in whole.splitlines():
        event, *fields = line.split()
        partition, offset, *rest = map(int, fields)
        if event == "read":
            account.reads.append(Read(partition, offset, *rest))
            if partition in open_at:
                began = open_at.pop(partition)
                account.assigned[began] = account.assigned[began]._replace(first=offset)
        elif event == "assigned":
            open_at[partition] = len(account.assigned)
            account.assigned.append(Assigned(partition, offset, None))
        else:
            account.committed[partition] = max(offset, account.committed.get(partition, 0))
    return account
