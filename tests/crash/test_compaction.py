"""SIGKILL while a topic is compacted: the last value of each key is there after every kill, and no older one is back.

Every second kill comes just after compaction began to write the file that takes the place of others.
CHRONIK_UPDATES, CHRONIK_KEYS and CHRONIK_ROUNDS make it longer; the full length is 5,000,000 over 100,000 with 50.
"""

import os
import random
import struct
from collections import Counter

import pytest
from confluent_kafka import Producer, TopicPartition
from killing import Assassin

from clients.deadline import Deadline, wait_until
from clients.producing import DURABLE
from clients.reading import create_topic, messages

pytestmark = pytest.mark.chronik_only

ROUNDS = int(os.environ.get("CHRONIK_ROUNDS", "6"))
UPDATES = int(os.environ.get("CHRONIK_UPDATES", "120000"))
KEYS = int(os.environ.get("CHRONIK_KEYS", "5000"))
SEED = int(os.environ.get("CHRONIK_SEED", "1"))
PARTITIONS = 2
DEADLINE_S = 600.0

# The cleaner looks every 100 ms; a log is cleaned as soon as a tenth of it may go.
PROPERTIES = {"log.cleaner.backoff.ms": "100", "chronik.journal.bytes": str(64 << 20)}
TOPIC_CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(512 << 10),
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "100",
}
MOMENTS = ("swap", "commit")
# How long after the moment the kill comes, at most.
DELAYS_US = {"swap": 30_000, "commit": 300}
# A compacted log keeps at most this much beside one record for each key: its open segments.
OPEN_SEGMENT_RECORDS = 2 * 20_000


def test_the_last_value_of_each_key_outlives_kills(new_broker, topic: str, record_property):
    table = Table(new_broker(properties=PROPERTIES), topic)
    per_round = UPDATES // ROUNDS
    for number in range(ROUNDS):
        table.update_and_kill(per_round, MOMENTS[number % len(MOMENTS)])
        table.check()
    assert table.counts["kills: swap"] > 0, f"no kill hit a swap: {dict(table.counts)}"
    table.wait_until_compacted()
    table.check()
    record_property(f"compaction, {ROUNDS} kills", table.summary())


class Table:
    """A compacted topic, and what it has to say."""

    def __init__(self, broker, topic: str):
        self.broker = broker
        self.counts: Counter[str] = Counter()
        self._topic = topic
        self._chance = random.Random(SEED)
        self._last: dict[bytes, int] = {}
        self._sent = 0
        self._failures: list[str] = []
        self._remaining = 0
        broker.start()
        create_topic(broker.bootstrap, topic, PARTITIONS, TOPIC_CONFIG)
        # Its retries bring what a kill left unacknowledged, once and in order.
        self._producer = Producer(
            {"bootstrap.servers": broker.bootstrap, **DURABLE, "queue.buffering.max.messages": 100_000}
        )

    def update_and_kill(self, updates: int, moment: str) -> None:
        """Sends updates, with a kill and a restart among them, and waits for all acknowledgements."""
        end = self._sent + updates
        assassin = Assassin(moment, self.broker.data_dir, self._chance.randrange(DELAYS_US[moment]))
        assassin.name_victim(self.broker)
        deadline = Deadline(DEADLINE_S)
        while self._sent < end or not assassin.struck():
            deadline.check(f"the kill in a {moment}")
            self._send()
        came = assassin.reap(self.broker)
        self.counts[f"kills: {moment}" if came else f"missed: {moment}"] += 1
        self.broker.start()
        assert self._producer.flush(deadline.remaining()) == 0, "records are still unacknowledged"
        assert not self._failures, self._failures[0]

    def _send(self) -> None:
        key = b"key-%d" % self._chance.randrange(KEYS)
        value = struct.pack(">q", self._sent) + b"." * 24
        while True:
            try:
                self._producer.produce(self._topic, key=key, value=value, on_delivery=self._on_delivery)
                break
            except BufferError:
                self._producer.poll(0.01)
        self._producer.poll(0)
        self._last[key] = self._sent
        self._sent += 1

    def _on_delivery(self, error, _message) -> None:
        if error is not None:
            self._failures.append(str(error))

    def check(self) -> None:
        """Reads everything: for each key the updates rise, and the last one is the last that was sent."""
        seen: dict[bytes, int] = {}
        self._remaining = 0
        partitions = [TopicPartition(self._topic, index, 0) for index in range(PARTITIONS)]
        for message in messages(self.broker.bootstrap, partitions, auto_offset_reset="earliest"):
            (serial,) = struct.unpack_from(">q", message.value())
            before = seen.get(message.key(), -1)
            assert serial > before, f"{message.key()}: update {serial} comes behind {before}"
            seen[message.key()] = serial
            self._remaining += 1
        assert seen == self._last, "a key has not its last value"

    def wait_until_compacted(self) -> None:
        """What compaction can remove is gone."""

        def compacted() -> bool:
            self.check()
            return self._remaining <= len(self._last) + OPEN_SEGMENT_RECORDS

        wait_until("compaction to end", DEADLINE_S, compacted)

    def summary(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return f"{self._sent} updates of {len(self._last)} keys, {self._remaining} records left; {counts}"
