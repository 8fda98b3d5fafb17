"""An idempotent producer that remembers what it sent and where the broker said it went."""

from typing import NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from clients.deadline import Deadline
from clients.reading import Entry, assert_same

# What one producer holds back at most: keeps the input and the acknowledgements close together.
QUEUE_RECORDS = 2_000

# Retries outlast any restart of the broker; five requests in flight is the most an idempotent producer may have.
DURABLE = {
    "enable.idempotence": "true",
    "acks": "all",
    "retries": 1_000_000,
    "message.timeout.ms": 600_000,
    "retry.backoff.ms": 50,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "max.in.flight.requests.per.connection": 5,
    "queue.buffering.max.messages": QUEUE_RECORDS,
    "batch.num.messages": 200,
    "linger.ms": 5,
}


class Sent(NamedTuple):
    """A record as handed to the producer."""

    key: bytes
    value: bytes


class RecordingProducer:
    """Sends with idempotence and acks=all and keeps, per record, the partition and offset of its acknowledgement."""

    def __init__(self, bootstrap: str, topic: str, deadline: Deadline, **config: str | int):
        self.sent: list[Sent] = []
        self.acks: list[tuple[int, int] | None] = []
        self.acked_count = 0
        self._failures: list[KafkaError] = []
        self._topic = topic
        self._deadline = deadline
        self._abandoned = False
        self._producer = Producer({"bootstrap.servers": bootstrap, **DURABLE} | _dotted(config))

    def outstanding(self) -> int:
        """Records sent and not acknowledged, as of the callbacks that ran."""
        return len(self.sent) - self.acked_count

    def send(self, key: bytes, value: bytes) -> None:
        """Hands over one record, waiting while the queue is full."""
        position = len(self.sent)
        self.sent.append(Sent(key, value))
        self.acks.append(None)

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            self._on_delivery(position, error, message)

        while True:
            self._deadline.check("room in the producer's queue")
            try:
                self._producer.produce(self._topic, key=key, value=value, on_delivery=on_delivery)
            except BufferError:
                self._producer.poll(0.05)
                continue
            self._producer.poll(0)
            return

    def flush(self) -> None:
        """Returns when every record is acknowledged."""
        left = self._producer.flush(self._deadline.remaining())
        assert not self._failures, f"{len(self._failures)} records failed, the first with {self._failures[0]}"
        assert left == 0, f"{left} records still unacknowledged at the deadline"
        assert None not in self.acks, "a record was neither acknowledged nor refused"

    def poll(self, seconds: float) -> None:
        """Lets acknowledgements in without sending more."""
        self._producer.poll(seconds)

    def abandon(self) -> None:
        """Gives up on what is not acknowledged, as if the producer had died too; its fate stays unknown."""
        self._abandoned = True
        self._producer.purge()
        self._producer.flush(self._deadline.remaining())

    def assert_kept(self, partitions: list[list[Entry]]) -> None:
        """Nothing acknowledged is lost, nothing is doubled or out of order; the rest is there or not."""
        assert_kept(self.sent, self.acks, partitions)

    def assert_stored(self, partitions: list[list[Entry]]) -> None:
        """The partitions hold what was sent and nothing else, each record where its acknowledgement said."""
        assert_stored(self.sent, self.acks, partitions)

    def _on_delivery(self, position: int, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            if not self._abandoned:
                self._failures.append(error)
            return
        assert self.acks[position] is None, f"record {position} acknowledged twice"
        self.acks[position] = (message.partition(), message.offset())
        self.acked_count += 1


def _dotted(config: dict[str, str | int]) -> dict[str, str | int]:
    return {key.replace("_", "."): value for key, value in config.items()}


def assert_stored(sent: list[Sent], acks: list[tuple[int, int]], partitions: list[list[Entry]]) -> None:
    """Record i of `sent` is at (partition, offset) `acks[i]`, in order within its partition, and no other record is."""
    expected: list[dict[int, Sent]] = [{} for _ in partitions]
    for record, (partition, offset) in zip(sent, acks):
        there = expected[partition].setdefault(offset, record)
        assert there is record, f"{record.key!r} and {there.key!r} were both acknowledged at {partition}:{offset}"
    for number, (entries, records) in enumerate(zip(partitions, expected)):
        assert_same(list(records), range(len(records)), f"acknowledged offsets of partition {number}")
        wanted = [Entry(offset, *record) for offset, record in records.items()]
        assert_same(entries, wanted, f"partition {number}")


def assert_kept(sent: list[Sent], acks: list[tuple[int, int] | None], partitions: list[list[Entry]]) -> None:
    """What a producer may rely on that died with unanswered batches.

    Every acknowledged record is where its acknowledgement said, nothing that was not sent is there, nothing is there
    twice, offsets have no gaps and a partition keeps the order of sending. Values must be unique.
    """
    position_of = {record.value: position for position, record in enumerate(sent)}
    assert len(position_of) == len(sent), "values must be unique for this comparison"
    home: dict[int, tuple[int, int]] = {}
    for number, entries in enumerate(partitions):
        assert_same([entry.offset for entry in entries], range(len(entries)), f"offsets of partition {number}")
        before = -1
        for entry in entries:
            position = position_of.get(entry.value)
            assert position is not None and sent[position].key == entry.key, f"never sent: {entry.key!r} at {number}"
            first = home.setdefault(position, (number, entry.offset))
            assert first == (number, entry.offset), f"record {position} is at {first} and at {number}:{entry.offset}"
            assert position > before, f"partition {number}: record {position} behind record {before}"
            before = position
    for position, ack in enumerate(acks):
        found = home.get(position)
        assert ack in (None, found), f"record {position}, acknowledged at {ack}, is at {found}"
