"""Producers of every kind, each with a topic of its own and an account of what became of every record."""

from collections import Counter
from typing import NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from clients.deadline import Deadline
from clients.producing import DURABLE, Sent, assert_kept
from clients.reading import Entry

# What one producer has under way at most, and how much it adds at a time.
WINDOW = 300
BURST = 15
PARTITIONS = 3
SEGMENT_BYTES = 256 << 10
PADDING = bytes(range(32, 127)) * 170
LIGHT_BYTES, HEAVY_BYTES = 1_200, 16_000

# Nobody waits long for a server that is back.
QUICK = {
    "reconnect.backoff.ms": 10,
    "reconnect.backoff.max.ms": 50,
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 100,
    "batch.num.messages": 20,
    "linger.ms": 2,
}
# Without retries nothing can be doubled, and what was not answered is lost or there.
ONCE = {"enable.idempotence": "false", "retries": 0, "message.timeout.ms": 10_000, **QUICK}


class Kind(NamedTuple):
    """What a producer asks for, and what it may rely on."""

    name: str
    config: dict[str, str | int]
    topic_config: dict[str, str] = {}  # noqa: RUF012
    # Retries until everything is acknowledged.
    complete: bool = False
    # An acknowledgement promises that the record outlives a power cut.
    durable: bool = True


IDEMPOTENT = Kind("idempotent", {**DURABLE, **QUICK}, complete=True)
LEADER = Kind("leader", {**ONCE, "acks": 1})
UNASKED = Kind("unasked", {**ONCE, "acks": 0}, durable=False)
LAZY = Kind("lazy", {**DURABLE, **QUICK}, {"flush.messages": "1000000"}, complete=True, durable=False)
KINDS = (IDEMPOTENT, LEADER, UNASKED, LAZY)


class Sender:
    """One producer. Everything but reading its fields is for one thread."""

    def __init__(self, bootstrap: str, kind: Kind, topic: str, config: dict[str, str | int]):
        self.kind = kind
        self.topic = topic
        self.sent: list[Sent] = []
        self.acks: list[tuple[int, int] | None] = []
        # Behind the last acknowledged record of each partition.
        self.acked_ends = [0] * PARTITIONS
        self.acked = 0
        self.errors: Counter[int] = Counter()
        # Whether a partition must keep the order of sending.
        self.ordered = True
        self._settled = 0
        self._producer = Producer({"bootstrap.servers": bootstrap, **kind.config, **config})

    @property
    def under_way(self) -> int:
        """Records whose fate is not known yet."""
        return len(self.sent) - self._settled

    def pump(self, value_bytes: int) -> None:
        """Takes in what was answered, and sends a little more where there is room."""
        self._producer.poll(0)
        for _ in range(min(BURST, WINDOW - self.under_way)):
            self._send(value_bytes)

    def flush(self, deadline: Deadline) -> None:
        """Returns when the fate of every record is known."""
        left = self._producer.flush(deadline.remaining())
        assert left == 0, f"{self.topic}: {left} records neither acknowledged nor refused"

    def abandon(self, deadline: Deadline) -> None:
        """Ends as if its process had died: the fate of what is under way stays unknown."""
        self._producer.purge()
        self._producer.flush(deadline.remaining())

    def check(self, partitions: list[list[Entry]]) -> None:
        """Compares with everything that is in the topic."""
        if self.kind.complete:
            assert not self.errors, f"{self.topic}: records failed: {self.errors}"
            assert None not in self.acks, f"{self.topic}: unacknowledged records"
        order = range(len(self.sent)) if self.ordered else self._arrival(partitions)
        assert_kept([self.sent[number] for number in order], [self.acks[number] for number in order], partitions)

    def _arrival(self, partitions: list[list[Entry]]) -> list[int]:
        """All records in the order in which they are stored."""
        places = {entry.value: (at, entry.offset) for at, entries in enumerate(partitions) for entry in entries}
        nowhere = (len(partitions), 0)
        return sorted(range(len(self.sent)), key=lambda number: places.get(self.sent[number].value, nowhere))

    def _send(self, value_bytes: int) -> None:
        position = len(self.sent)
        key = b"%d" % (position % 97)
        value = b"%s record %d " % (self.kind.name.encode(), position) + PADDING[: position * 7919 % value_bytes]

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            self._settled += 1
            if error is not None:
                self.errors[error.code()] += 1
            elif message.offset() is not None:
                self._acknowledged(position, message.partition(), message.offset())

        self.sent.append(Sent(key, value))
        self.acks.append(None)
        self._producer.produce(self.topic, key=key, value=value, on_delivery=on_delivery)

    def _acknowledged(self, position: int, partition: int, offset: int) -> None:
        assert self.acks[position] is None, f"record {position} acknowledged twice"
        self.acks[position] = (partition, offset)
        self.acked_ends[partition] = max(self.acked_ends[partition], offset + 1)
        self.acked += 1
