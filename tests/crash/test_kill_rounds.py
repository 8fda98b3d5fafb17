"""SIGKILL at chosen moments under an idempotent producer, alone and with the journal cut behind its last synced byte.

A round loads one topic, kills the broker inside a commit's write, behind a new segment, inside a checkpoint, or again
and again while it recovers, and compares everything once it is back. In one round of three the producer dies as well.
"""

import hashlib
import os
import random
from collections import Counter

import pytest
from cuts import cut_at_random
from killing import Assassin

from clients.deadline import Deadline, wait_until
from clients.harness import Broker
from clients.journal import Directory, Frame
from clients.producing import QUEUE_RECORDS, RecordingProducer
from clients.reading import Entry, create_topic, read_partitions

pytestmark = pytest.mark.chronik_only

ROUNDS = int(os.environ.get("CHRONIK_ROUNDS", "6"))
SEED = int(os.environ.get("CHRONIK_SEED", "1"))
ROUND_DEADLINE_S = 120.0

# Four ring files of 8 MiB, trimmed whenever two are used; rolls every quarter of a MiB of a partition.
PROPERTIES = {"chronik.journal.bytes": str(32 << 20)}
TOPIC_CONFIG = {"segment.bytes": str(256 << 10)}
PARTITIONS = 3
PADDING = bytes(range(32, 127)) * 10

MOMENTS = ("commit", "checkpoint", "recovery", "roll")
# How long after the moment the kill comes, at most.
DELAYS_US = {"commit": 300, "checkpoint": 6_000, "recovery": 20_000, "roll": 3_000}
ACKED_BEFORE = 1_000
RECOVERY_KILLS = 3
RECOVERY_ATTEMPTS = 12
QUIET_S = 0.2
ATTEMPTS = 4


@pytest.mark.parametrize("cutting", [False, True], ids=["kill", "kill_and_cut"])
def test_nothing_is_lost_or_doubled(new_broker, topic: str, record_property, cutting: bool):
    rounds = Rounds(new_broker(properties=PROPERTIES), topic, cutting)
    for number in range(ROUNDS):
        # A starved producer may have everything acknowledged when the kill comes: that round proves too little.
        tried = (rounds.run(number, attempt) for attempt in range(ATTEMPTS))
        assert any(tried), f"round {number}: nothing was unacknowledged in {ATTEMPTS} attempts"
    rounds.check_all_again()

    for kind in MOMENTS if len(MOMENTS) <= ROUNDS else ():
        assert rounds.counts[f"kills: {kind}"] > 0, f"no kill hit {kind}: {dict(rounds.counts)}"
    record_property(f"{ROUNDS} rounds, {'killed and cut' if cutting else 'killed'}", rounds.summary())


class Rounds:
    """The broker under test, and what happened to it so far."""

    def __init__(self, broker: Broker, topic: str, cutting: bool):
        self.broker = broker
        self.counts: Counter[str] = Counter()
        self._topic = topic
        self._cutting = cutting
        self._chance = random.Random(f"{SEED} {cutting}")
        self._fingerprints: dict[str, list[str]] = {}
        self._unacknowledged: list[int] = []
        self._recoveries_ms: list[int] = []
        self._records = 0
        broker.start()

    def run(self, number: int, attempt: int) -> bool:
        """One round; whether anything was unacknowledged when the kill came."""
        kind = MOMENTS[number % len(MOMENTS)]
        topic = f"{self._topic}-{number}-{attempt}"
        create_topic(self.broker.bootstrap, topic, PARTITIONS, TOPIC_CONFIG)
        producer = RecordingProducer(self.broker.bootstrap, topic, Deadline(ROUND_DEADLINE_S))
        self._load_and_kill(producer, number, "commit" if kind == "recovery" else kind)
        wait_quiet(producer)
        unacknowledged = producer.outstanding()
        if unacknowledged > 0:
            self._unacknowledged.append(unacknowledged)
        else:
            self.counts["repeated: nothing unacknowledged"] += 1
        self._look(producer, topic)
        self._cut(producer, topic)
        dies = number % 3 == 2
        if dies:
            producer.abandon()
        if kind == "recovery":
            self._kill_recovery(producer, topic)

        self._recoveries_ms.append(int(self.broker.start() * 1_000))
        if not dies:
            producer.flush()
        partitions = read_partitions(self.broker.bootstrap, topic, PARTITIONS)
        producer.assert_kept(partitions)
        if not dies:
            producer.assert_stored(partitions)
        self._records += len(producer.sent)
        self._fingerprints[topic] = fingerprints(partitions)
        return unacknowledged > 0

    def check_all_again(self) -> None:
        """No later round changed an earlier one, nor does a stop and a start."""
        for restart in (False, True):
            if restart:
                self.broker.restart()
            for topic, expected in self._fingerprints.items():
                got = fingerprints(read_partitions(self.broker.bootstrap, topic, PARTITIONS))
                assert got == expected, f"{topic} changed after its round"

    def summary(self) -> str:
        low, high = min(self._unacknowledged), max(self._unacknowledged)
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return (
            f"{self._records} records, 0 lost, 0 doubled; {low} to {high} records unacknowledged at each kill; "
            f"slowest restart {max(self._recoveries_ms)} ms; {counts}"
        )

    def _load_and_kill(self, producer: RecordingProducer, number: int, kind: str) -> None:
        send(producer, number, until=lambda: producer.acked_count >= ACKED_BEFORE)
        assassin = Assassin(kind, self.broker.data_dir, self._chance.randrange(DELAYS_US[kind]))
        for _ in range(self._chance.randrange(QUEUE_RECORDS)):
            send_one(producer, number)
        assassin.name_victim(self.broker)
        send(producer, number, until=assassin.struck)
        came = assassin.reap(self.broker)
        self.counts[f"kills: {kind}" if came else f"missed: {kind}"] += 1

    def _kill_recovery(self, producer: RecordingProducer, topic: str) -> None:
        hits = 0
        for _ in range(RECOVERY_ATTEMPTS):
            before = Directory(self.broker.data_dir).checkpoints()
            assassin = Assassin("recovery", self.broker.data_dir, self._chance.randrange(DELAYS_US["recovery"]))
            self.broker.spawn()
            assassin.name_victim(self.broker)
            came = assassin.reap(self.broker)
            # The checkpoint that ends recovery tells whether the kill was in time.
            hit = came and Directory(self.broker.data_dir).checkpoints() == before
            hits += hit
            self.counts["kills: recovery" if hit else "kills: just recovered"] += 1
            self._cut(producer, topic)
            if hits == RECOVERY_KILLS:
                return

    def _look(self, producer: RecordingProducer, topic: str) -> None:
        """Counts what the kill left that was not acknowledged."""
        directory = Directory(self.broker.data_dir)
        chain = directory.chain()
        if any(self.broker.data_dir.glob("checkpoint.*.tmp")):
            self.counts["left: unfinished checkpoint"] += 1
        if chain.frames and not is_acked(chain.frames[-1], producer, directory, topic):
            self.counts["left: durable commit without acknowledgement"] += 1

    def _cut(self, producer: RecordingProducer, topic: str) -> None:
        if self._cutting:
            directory = Directory(self.broker.data_dir)
            name = cut_at_random(self._chance, directory, lambda frame: is_acked(frame, producer, directory, topic))
            self.counts[f"cuts: {name}"] += 1


def send(producer: RecordingProducer, number: int, until) -> None:
    """Keeps the producer's queue full until a condition holds."""
    deadline = Deadline(ROUND_DEADLINE_S)
    while not until():
        deadline.check(f"the kill of round {number}")
        for _ in range(50):
            send_one(producer, number)


def send_one(producer: RecordingProducer, number: int) -> None:
    """One record, or a short wait while the queue is full: a killed broker empties no queue."""
    if producer.outstanding() >= QUEUE_RECORDS - 1:
        producer.poll(0.001)
        return
    serial = len(producer.sent)
    producer.send(b"%d" % (serial % 997), b"round %d record %d " % (number, serial) + PADDING)


def wait_quiet(producer: RecordingProducer) -> None:
    """Acknowledgements that were on their way at the kill are in."""
    last, since = producer.acked_count, Deadline(QUIET_S)

    def quiet() -> bool:
        nonlocal last, since
        producer.poll(0)
        if producer.acked_count != last:
            last, since = producer.acked_count, Deadline(QUIET_S)
        return since.expired()

    wait_until("the last acknowledgements", ROUND_DEADLINE_S, quiet)


def is_acked(frame: Frame, producer: RecordingProducer, directory: Directory, topic: str) -> bool:
    """Whether somebody was told of the frame: of one of its batches, or, who knows, of something else in it."""
    appends = frame.appends()
    if len(appends) != len(frame.kinds()):
        return True
    acked = set(producer.acks)
    for append in appends:
        partition = directory.partition_of(append.log_id, topic)
        if partition is None or any(
            (partition, offset) in acked for offset in range(append.base_offset, append.last_offset + 1)
        ):
            return True
    return False


def fingerprints(partitions: list[list[Entry]]) -> list[str]:
    """A digest of everything that was read, by partition."""
    digests = []
    for entries in partitions:
        digest = hashlib.sha256()
        for entry in entries:
            digest.update(b"%d %s %s\n" % (entry.offset, entry.key, entry.value))
        digests.append(digest.hexdigest())
    return digests
