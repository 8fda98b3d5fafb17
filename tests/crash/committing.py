"""A group of librdkafka consumers that commits what it read, through everything that happens to the server."""

import threading
from collections import Counter

from confluent_kafka import Consumer, KafkaException, TopicPartition

PROTOCOLS: dict[str, dict[str, str | int]] = {
    "classic": {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 500},
    "consumer": {"group.protocol": "consumer"},
}
CLIENT = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "reconnect.backoff.ms": 10,
    "reconnect.backoff.max.ms": 50,
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 100,
    "fetch.error.backoff.ms": 50,
    "fetch.wait.max.ms": 100,
}
JOIN_DEADLINE_S = 60.0


class Group:
    """Members in threads of their own; use as a context manager."""

    def __init__(self, bootstrap: str, name: str, protocol: str, topic: str, partitions: int, members: int = 2):
        self.name = name
        self.problems: list[str] = []
        # By partition: behind the last offset whose commit was confirmed to a member.
        self.confirmed = [0] * partitions
        # By partition: the offsets that some member read.
        self.read: list[set[int]] = [set() for _ in range(partitions)]
        self.errors: Counter[str] = Counter()
        self.commits = 0
        self.stopping = threading.Event()
        self.changing = threading.Lock()
        config = {"bootstrap.servers": bootstrap, "group.id": name, **CLIENT, **PROTOCOLS[protocol]}
        self.members = [Member(self, config, topic) for _ in range(members)]

    def __enter__(self) -> "Group":
        for member in self.members:
            member.start()
        return self

    def __exit__(self, *_exc) -> None:
        self.stopping.set()
        for member in self.members:
            member.join(JOIN_DEADLINE_S)
            if member.is_alive():
                self.problems.append("a member does not end")

    def check(self) -> None:
        assert not self.problems, self.problems[:5]

    def check_read(self, ends: list[int]) -> None:
        """Every record was read by a member."""
        for partition, (end, read) in enumerate(zip(ends, self.read)):
            missed = [offset for offset in range(end) if offset not in read]
            assert not missed, f"partition {partition}: {len(missed)} records no member read, the first {missed[0]}"
            assert not read or max(read) < end, f"partition {partition}: offset {max(read)} was read, the end is {end}"


class Member(threading.Thread):
    """One consumer of the group: reads, then commits, again and again."""

    def __init__(self, group: Group, config: dict[str, str | int | bool], topic: str):
        super().__init__(daemon=True)
        self._group = group
        self._topic = topic
        self._consumer = Consumer(config)
        # The partitions it has, each with the offset it must read next: exactly, or at least.
        self._next: dict[int, tuple[int, bool]] = {}
        self._uncommitted: dict[int, int] = {}

    def run(self) -> None:
        try:
            self._consumer.subscribe(
                [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
            while not self._group.stopping.is_set():
                self._step()
            self._consumer.close()
        except Exception as error:
            self._group.problems.append(f"a member failed: {error!r}")

    def note_assigned(self, partitions: list[int]) -> None:
        """From now on these are its own; reading begins at what is committed, or behind it."""
        for partition in partitions:
            self._next[partition] = (self._group.confirmed[partition], False)

    def _step(self) -> None:
        for message in self._consumer.consume(500, timeout=0.1):
            if message.error() is not None:
                # What is in the way is away again, or the check at the end misses records.
                self._group.errors[message.error().name()] += 1
                continue
            self.note(message.partition(), message.offset())
        if self._uncommitted:
            self._commit()

    def note(self, partition: int, offset: int) -> None:
        """Checks that a record is what had to come next, and has it committed."""
        expected, exact = self._next.get(partition, (0, False))
        if offset < expected or (exact and offset > expected):
            self._group.problems.append(f"partition {partition}: read {offset} where {expected} had to come")
        self._next[partition] = (offset + 1, True)
        self._group.read[partition].add(offset)
        self._uncommitted[partition] = offset + 1

    def _commit(self) -> None:
        offsets = [TopicPartition(self._topic, partition, at) for partition, at in self._uncommitted.items()]
        try:
            committed = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            self._group.errors[error.args[0].name()] += 1
            return
        for one in committed:
            if one.error is not None:
                self._group.errors[one.error.name()] += 1
                continue
            if self._uncommitted.get(one.partition) == one.offset:
                del self._uncommitted[one.partition]
            with self._group.changing:
                self._group.commits += 1
                confirmed = self._group.confirmed
                confirmed[one.partition] = max(confirmed[one.partition], one.offset)

    def _assigned(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Called before the client asks where to begin: what was confirmed by now must be found.
        self.note_assigned([one.partition for one in partitions])

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._next.pop(one.partition, None)
            self._uncommitted.pop(one.partition, None)
