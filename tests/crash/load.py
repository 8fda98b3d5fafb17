"""Clients of all kinds at work on one server, and the checks of everything they were told.

Producers that are idempotent, that ask for one acknowledgement and for none, one whose topic is lazy; a consumer that
follows all of them without a group; a group of two that commits; and somebody who asks again and again what the group
has committed. They go on whatever happens to the server; what must hold then is checked at the end:

- an acknowledged record is where its acknowledgement said, once, and a partition keeps the order of sending;
- offsets have no gaps, and what was read once is there with the same bytes ever after;
- committed offsets never go back, and each record was read by the group.
"""

import hashlib
import struct
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from committing import Group
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from crc32c import crc32c
from observing import Observer
from senders import HEAVY_BYTES, IDEMPOTENT, KINDS, LIGHT_BYTES, PARTITIONS, SEGMENT_BYTES, Kind, Sender

from clients import wire
from clients.deadline import Deadline, wait_until
from clients.harness import Broker
from clients.reading import Entry, assert_same, consumer, create_topic, delete_topic, messages

JOIN_DEADLINE_S = 60.0
SETTLE_DEADLINE_S = 60.0
PACE_S = 0.01
LIST_OFFSETS_VERSION = 1
LATEST = -1

# A group's members need no time to find each other, and a ring of 32 MiB is trimmed often.
PROPERTIES = {"group.initial.rebalance.delay.ms": "0", "chronik.journal.bytes": str(32 << 20)}


class Figures(NamedTuple):
    """What one load did."""

    acknowledged: int
    read: int
    commits: int
    commit_answers: int


class Reader(threading.Thread):
    """Reads every record of some topics once and in order, without a group."""

    def __init__(self, bootstrap: str, topics: Iterable[str]):
        super().__init__(daemon=True)
        self.problems: list[str] = []
        # By topic and partition: a checksum for each offset from 0.
        self.seen: dict[tuple[str, int], list[int]] = {
            (topic, number): [] for topic in topics for number in range(PARTITIONS)
        }
        self.stopping = threading.Event()
        quick = {"reconnect_backoff_ms": 10, "reconnect_backoff_max_ms": 50, "fetch_error_backoff_ms": 50}
        self._consumer: Consumer = consumer(bootstrap, enable_partition_eof=False, fetch_wait_max_ms=100, **quick)

    def run(self) -> None:
        try:
            self._consumer.assign([TopicPartition(topic, number, 0) for topic, number in self.seen])
            while not self.stopping.is_set():
                for message in self._consumer.consume(1_000, timeout=0.1):
                    self.note(message)
            self._consumer.close()
        except Exception as error:
            self.problems.append(f"the reader failed: {error!r}")

    def note(self, message: Message) -> None:
        """Checks that a message is what had to come next."""
        if message.error() is not None:
            # Among them an offset out of range: the log had become shorter than what was read of it.
            self.problems.append(f"{message.topic()}-{message.partition()}: {message.error()}")
            return
        seen = self.seen[message.topic(), message.partition()]
        if message.offset() != len(seen):
            self.problems.append(
                f"{message.topic()}-{message.partition()}: read {message.offset()} where {len(seen)} had to come"
            )
        seen.append(checksum(message.key(), message.value()))


class Load:
    """All clients; use as a context manager, and `finish` within it."""

    def __init__(
        self,
        broker: Broker,
        prefix: str,
        kinds: Iterable[Kind] = KINDS,
        protocol: str = "classic",
        config: dict[str, str | int] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ):
        """`config` goes to every producer."""
        self.broker = broker
        self.heavy = False
        self.senders = [Sender(broker.bootstrap, kind, f"{prefix}-{kind.name}", config or {}) for kind in kinds]
        for sender in self.senders:
            settings = {"segment.bytes": str(segment_bytes), **sender.kind.topic_config}
            create_topic(broker.bootstrap, sender.topic, PARTITIONS, settings)
        main = self.of(IDEMPOTENT)
        self.reader = Reader(broker.bootstrap, self.topics)
        self.group = Group(broker.bootstrap, f"{prefix}-group", protocol, main.topic, PARTITIONS)
        self.observer = Observer(broker.port, self.group.name, main.topic, PARTITIONS)
        self._problems: list[str] = []
        self._stopping = threading.Event()
        self._pump = threading.Thread(target=self._run, daemon=True)

    @property
    def topics(self) -> list[str]:
        return [sender.topic for sender in self.senders]

    @property
    def acked(self) -> int:
        """Acknowledgements that came so far."""
        return sum(sender.acked for sender in self.senders)

    @property
    def under_way(self) -> int:
        """Records sent whose fate is not known."""
        return sum(sender.under_way for sender in self.senders)

    def of(self, kind: Kind) -> Sender:
        """The sender of a kind."""
        return next(sender for sender in self.senders if sender.kind == kind)

    def __enter__(self) -> "Load":
        self.observer.__enter__()
        self.group.__enter__()
        self.reader.start()
        self._pump.start()
        return self

    def __exit__(self, *_exc) -> None:
        self._stop_sending()
        self.reader.stopping.set()
        self.reader.join(JOIN_DEADLINE_S)
        self.group.__exit__()
        self.observer.__exit__()

    def wait_for(self, what: str, condition: Callable[[], bool], seconds: float = SETTLE_DEADLINE_S) -> None:
        """Waits while all clients are well."""

        def well() -> bool:
            self.check_so_far()
            return condition()

        try:
            wait_until(what, seconds, well)
        except TimeoutError as late:
            raise TimeoutError(f"{late}; {self.state()}") from None

    def state(self) -> str:
        """How far everybody is."""
        senders = [
            f"{one.kind.name}: {one.acked} acknowledged, {one.under_way} under way, errors {dict(one.errors)}"
            for one in self.senders
        ]
        group = f"group: {self.group.commits} commits, errors {dict(self.group.errors)}"
        return "; ".join([*senders, f"read {self._read()}", group, f"observed {self.observer.latest}"])

    def wait_for_work(self, acknowledgements: int = 100) -> None:
        """Returns when every producer that is told was told of more, and everybody reads and commits."""
        senders = [sender for sender in self.senders if sender.kind.config.get("acks") != 0]
        acked = [sender.acked + acknowledgements for sender in senders]
        commits, seen = self.group.commits, self._read()
        self.wait_for("acknowledgements", lambda: all(one.acked >= more for one, more in zip(senders, acked)))
        self.wait_for("commits of the group", lambda: self.group.commits > commits)
        self.wait_for("the reader", lambda: self._read() > seen)

    def check_so_far(self) -> None:
        """Nobody saw anything that must not be."""
        assert not self._problems, self._problems[:5]
        assert not self.reader.problems, self.reader.problems[:5]
        self.group.check()
        self.observer.check()

    def promised(self, kinds: Iterable[Kind] = KINDS) -> dict[str, list[int]]:
        """By topic: for each partition, the end that the log had at least, by acknowledgements and by what was read."""
        chosen = [sender for sender in self.senders if sender.kind in kinds]
        return {
            sender.topic: [
                max(end, len(self.reader.seen[sender.topic, number])) for number, end in enumerate(sender.acked_ends)
            ]
            for sender in chosen
        }

    def check_ends(self, promised: dict[str, list[int]]) -> None:
        """No log ends before what was promised of it before."""
        for topic, ends in promised.items():
            for number, (got, expected) in enumerate(zip(log_ends(self.broker.port, topic), ends)):
                assert got >= expected, f"{topic}-{number} ends at {got}, and {expected} had been acknowledged or read"

    def finish(self) -> dict[str, list[list[Entry]]]:
        """Ends the load on a server that runs, checks everything, and returns what the topics hold."""
        deadline = Deadline(SETTLE_DEADLINE_S)
        self._stop_sending()
        for sender in self.senders:
            sender.flush(deadline)
        return self.compare(read_topics(self.broker.bootstrap, self.topics))

    def compare(self, stored: dict[str, list[list[Entry]]]) -> dict[str, list[list[Entry]]]:
        """Waits for the consumers to come to these ends, and compares with what everybody was told."""
        ends = {topic: [len(entries) for entries in partitions] for topic, partitions in stored.items()}
        main = ends[self.of(IDEMPOTENT).topic]
        self.wait_for("the reader to come to the end", lambda: self._read() >= sum(map(sum, ends.values())))
        everything = {number: end for number, end in enumerate(main) if end}
        self.wait_for("everything to be committed", lambda: self.observer.latest == everything)
        self.check_so_far()
        self.group.check_read(main)
        for sender in self.senders:
            sender.check(stored[sender.topic])
        self.compare_seen(stored)
        return stored

    def compare_seen(self, stored: dict[str, list[list[Entry]]]) -> None:
        """What the reader had of these records is what is there."""
        for topic, partitions in stored.items():
            for number, entries in enumerate(partitions):
                now = [checksum(entry.key, entry.value) for entry in entries]
                seen = self.reader.seen[topic, number]
                common = min(len(seen), len(now))
                assert_same(seen[:common], now[:common], f"{topic}-{number}: what was read then and what is there")

    def figures(self) -> Figures:
        return Figures(self.acked, self._read(), self.group.commits, self.observer.answers)

    def delete(self) -> None:
        """Removes the topics."""
        for topic in self.topics:
            delete_topic(self.broker.bootstrap, topic)

    def _read(self) -> int:
        return sum(map(len, self.reader.seen.values()))

    def _run(self) -> None:
        try:
            while not self._stopping.wait(PACE_S):
                for sender in self.senders:
                    sender.pump(HEAVY_BYTES if self.heavy else LIGHT_BYTES)
        except Exception as error:
            self._problems.append(f"the producers failed: {error!r}")

    def _stop_sending(self) -> None:
        self._stopping.set()
        if self._pump.is_alive():
            self._pump.join(JOIN_DEADLINE_S)


def checksum(key: bytes, value: bytes) -> int:
    return crc32c(value, crc32c(key))


def read_topics(bootstrap: str, topics: Iterable[str]) -> dict[str, list[list[Entry]]]:
    """All records of some topics, by partition."""
    stored: dict[str, list[list[Entry]]] = {topic: [[] for _ in range(PARTITIONS)] for topic in topics}
    starts = [TopicPartition(topic, number, OFFSET_BEGINNING) for topic in stored for number in range(PARTITIONS)]
    for message in messages(bootstrap, starts, fetch_wait_max_ms=20):
        entry = Entry(message.offset(), message.key(), message.value())
        stored[message.topic()][message.partition()].append(entry)
    return stored


def fingerprint(partitions: list[list[Entry]]) -> str:
    """A digest of everything that was read of a topic."""
    digest = hashlib.sha256()
    for entries in partitions:
        digest.update(b"partition")
        for entry in entries:
            digest.update(b"%d %s %s\n" % (entry.offset, entry.key, entry.value))
    return digest.hexdigest()


def log_ends(port: int, topic: str) -> list[int]:
    """Where each partition of a topic ends now."""
    asked = wire.array(struct.pack(">iq", number, LATEST) for number in range(PARTITIONS))
    with wire.Connection(port) as connection:
        body = struct.pack(">i", -1) + wire.array([wire.string(topic) + asked])
        connection.send(wire.LIST_OFFSETS, LIST_OFFSETS_VERSION, 1, body)
        _, answer = connection.receive()
    ((_topic, rows),) = wire.decode([["s", ["i", "h", "q", "q"]]], answer)[0]
    assert all(error == wire.ERROR_NONE for _, error, _, _ in rows), rows
    return [end for _, _, _, end in sorted(rows)]
