"""Power cuts: the server comes back with what the disk holds, and nothing of what was only in memory.

The data directory is a filesystem in an image file. At a random moment under clients of all kinds the server is made to
stand still, the image is copied without any sync, the server killed, and the copy mounted in the place of the image.
What the kernel held back is gone then: pages, sizes of files, names. The clients notice a server that was away.

CHRONIK_CUTS is the number of cuts; 50 is the full length. What this can not show is a write that the device has taken
and lost, as a missing flush would: the image has every write that was completed.
"""

import os
import random
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
from disks import HARSH, LoopDisk, broker_on, make_disk, stand_still, write_back_some
from injecting import SYNCS, FailingCalls
from load import PROPERTIES, Load, Reader, read_topics
from senders import IDEMPOTENT, LAZY, LEADER, LIGHT_BYTES, PADDING, PARTITIONS, UNASKED, Sender

from clients.deadline import Deadline, wait_until
from clients.harness import Broker
from clients.producing import RecordingProducer, assert_kept
from clients.reading import create_topic

pytestmark = [pytest.mark.chronik_only, pytest.mark.root]

CUTS = int(os.environ.get("CHRONIK_CUTS", "2"))
SEED = int(os.environ.get("CHRONIK_SEED", "1"))
CUTS_EACH = 10
DISK_BYTES = 512 << 20
UNDER_LOAD_S = 1.0
# Acknowledged to the lazy producer before a cut, at most.
LAZY_ACKED = 600
# One cut in so many comes while the server starts.
START_EVERY = 4
START_S = 0.1
# Of the moments before a cut, how many see the kernel write back some of what is in memory.
WRITE_BACK_SHARE = 0.5
# More than once round a ring of 32 MiB.
LAPS_BYTES = 64 << 20
DEADLINE_S = 60.0
READ_DEADLINE_S = 5.0
RESTART_LIMIT_S = 10.0

DURABLE_KINDS = (IDEMPOTENT, LEADER, UNASKED)


def test_a_cut_takes_what_was_not_synced(tmp_path: Path):
    """Without this the passing of the other test would prove little."""
    disk = make_disk(tmp_path, DISK_BYTES, HARSH)
    try:
        kept, unsynced, renamed = disk.path / "kept", disk.path / "unsynced", disk.path / "renamed"
        write(renamed, b"old", sync=True)
        write(kept, b"synced", sync=True)
        write(unsynced, b"in memory", sync=False)
        write(disk.path / "new", b"new", sync=False)
        (disk.path / "new").rename(renamed)
        copy = disk.copy()
        assert unsynced.read_bytes() == b"in memory" and renamed.read_bytes() == b"new"
        disk.unmount()
        disk.restore(copy)

        assert kept.read_bytes() == b"synced"
        assert not unsynced.exists()
        assert renamed.read_bytes() == b"old"
    finally:
        disk.remove()


@pytest.mark.parametrize("lies", [False, True], ids=["true", "lies"])
def test_a_disk_whose_syncs_do_nothing_is_noticed(tmp_path: Path, lies: bool):
    """The journal has gone round, so that what it held counts on segments and checkpoints that were never synced."""
    disk = make_disk(tmp_path, DISK_BYTES, HARSH)
    with broker_on(disk, tmp_path / "broker", PROPERTIES) as broker:
        broker.start()
        create_topic(broker.bootstrap, "laps", PARTITIONS)
        producer = RecordingProducer(broker.bootstrap, "laps", Deadline(DEADLINE_S))
        with FailingCalls(broker, [], SYNCS, "retval=0") if lies else nullcontext():
            for number in range(LAPS_BYTES // len(PADDING)):
                producer.send(b"%d" % (number % 97), b"record %d " % number + PADDING)
            producer.flush()
        cut_power(disk, broker)
        # It does not start, or has lost records, or can not read what it has.
        with pytest.raises((AssertionError, TimeoutError)) if lies else nullcontext():
            broker.start()
            read_all(broker, "laps", len(producer.sent))


def read_all(broker: Broker, topic: str, records: int) -> None:
    """So many records are read, or the time is over."""
    reader = Reader(broker.bootstrap, [topic])
    reader.start()
    try:
        wait_until("all records", READ_DEADLINE_S, lambda: sum(map(len, reader.seen.values())) == records)
    finally:
        reader.stopping.set()


def write(path: Path, content: bytes, sync: bool) -> None:
    """A file, with its name, on the disk or in memory only."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def test_power_cuts_lose_nothing_that_was_promised(tmp_path: Path, record_property):
    disk = make_disk(tmp_path, DISK_BYTES, HARSH)
    with broker_on(disk, tmp_path / "broker", PROPERTIES) as broker:
        cuts = PowerCuts(disk, broker)
        for first in range(0, CUTS, CUTS_EACH):
            cuts.run_load(range(first, min(first + CUTS_EACH, CUTS)))
        broker.stop()
        disk.unmount()
        disk.check()
        assert cuts.lost_lazy_records() or CUTS < CUTS_EACH, "no cut lost anything: were they any?"
        record_property(f"{CUTS} power cuts", cuts.summary())


class PowerCuts:
    """The server under test on its disk, and what happened to it so far."""

    def __init__(self, disk: LoopDisk, broker: Broker):
        self._disk = disk
        self._broker = broker
        self._chance = random.Random(SEED)
        self._counts: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._restarts_s: list[float] = []
        self._began = time.monotonic()
        broker.start()

    def run_load(self, cuts: range) -> None:
        """One load of clients through some cuts."""
        number = cuts.start // CUTS_EACH
        with Load(self._broker, f"cuts-{number}", kinds=DURABLE_KINDS) as load:
            load.wait_for_work()
            for one in cuts:
                self._cut(load, one)
            load.finish()
            self._totals.update(load.figures()._asdict())
        load.delete()

    def lost_lazy_records(self) -> int:
        """Records that were acknowledged without a promise for power cuts, and are gone."""
        return self._counts["lazy records acknowledged"] - self._counts["lazy records there after the cut"]

    def summary(self) -> str:
        took = time.monotonic() - self._began
        figures = ", ".join(f"{name} {count}" for name, count in self._totals.items())
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self._counts.items()))
        return (
            f"{figures}; 0 lost, 0 doubled; {counts}; slowest restart {max(self._restarts_s) * 1000:.0f} ms; "
            f"{took / CUTS:.1f} s per cut"
        )

    def _cut(self, load: Load, number: int) -> None:
        lazy = LazyClient(self._broker, f"lazy-{number}")
        over = Deadline(self._chance.uniform(0, UNDER_LOAD_S))
        lazy_acked = self._chance.randint(1, LAZY_ACKED)
        load.wait_for("a random moment", lambda: lazy.pump() >= lazy_acked and over.expired())
        if self._chance.random() < WRITE_BACK_SHARE:
            write_back_some(self._disk.path, self._chance)
            self._counts["write-backs by the kernel"] += 1
        if number % START_EVERY == START_EVERY - 1:
            self._broker.kill9()
            self._broker.spawn()
            over = Deadline(self._chance.uniform(0, START_S))
            load.wait_for("a moment of the start", over.expired)
            self._counts["cuts in a start"] += 1
        cut_power(self._disk, self._broker)
        lazy.end()
        # Whatever was acknowledged had been before the copy: the server stood still from then on.
        promised = load.promised()

        self._restarts_s.append(self._broker.start())
        assert self._restarts_s[-1] < RESTART_LIMIT_S
        load.check_ends(promised)
        self._counts["lazy records acknowledged"] += lazy.sender.acked
        self._counts["lazy records there after the cut"] += lazy.check()
        acked = load.acked
        load.wait_for("acknowledgements after the cut", lambda: load.acked > acked)


def cut_power(disk: LoopDisk, broker: Broker) -> None:
    """The server is gone, and everything that was only in memory."""
    stand_still(broker)
    copy = disk.copy()
    broker.kill9()
    disk.unmount()
    disk.restore(copy)


class LazyClient:
    """A producer of a topic that is not synced before it is acknowledged; it ends with the cut."""

    def __init__(self, broker: Broker, topic: str):
        self._broker = broker
        create_topic(broker.bootstrap, topic, PARTITIONS, LAZY.topic_config)
        self.sender = Sender(broker.bootstrap, LAZY, topic, {})

    def pump(self) -> int:
        """Sends a little; returns how much is acknowledged."""
        self.sender.pump(LIGHT_BYTES)
        return self.sender.acked

    def end(self) -> None:
        """Nothing is tried again: it would be appended to what the cut has left."""
        self.sender.abandon(Deadline(DEADLINE_S))

    def check(self) -> int:
        """What is there is the beginning of each partition; returns how much that is."""
        partitions = read_topics(self._broker.bootstrap, [self.sender.topic])[self.sender.topic]
        there = [len(entries) for entries in partitions]
        # Offsets without gaps, each acknowledged record at its place: short of the end nothing may be missing.
        acks = [ack if ack is not None and ack[1] < there[ack[0]] else None for ack in self.sender.acks]
        assert_kept(self.sender.sent, acks, partitions)
        return sum(there)
