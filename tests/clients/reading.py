"""Reading whole partitions without a consumer group, and comparing what came out with what went in."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from clients.deadline import Deadline, wait_until
from clients.harness import PEER

ADMIN_DEADLINE_S = 20.0
READ_DEADLINE_S = 60.0


class Entry(NamedTuple):
    """One consumed record, as far as the comparison goes."""

    offset: int
    key: bytes | None
    value: bytes | None


def admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap})


def create_topic(bootstrap: str, name: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
    """Creates a topic with one replica and returns when the broker has confirmed it."""
    new = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})
    # The client must outlive its future: destroying it fails the request.
    client = admin(bootstrap)
    client.create_topics([new])[name].result(ADMIN_DEADLINE_S)
    if PEER == "kafka":
        # Kafka confirms before its broker has seen the topic; ours must not, so there is no wait for ours.
        wait_until(f"{name} to be led", ADMIN_DEADLINE_S, lambda: _led(client, name, partitions))


def delete_topic(bootstrap: str, name: str) -> None:
    """Deletes a topic and returns when the broker has confirmed it."""
    client = admin(bootstrap)
    client.delete_topics([name])[name].result(ADMIN_DEADLINE_S)
    if PEER == "kafka":
        wait_until(f"{name} to be gone", ADMIN_DEADLINE_S, lambda: name not in client.list_topics(timeout=5).topics)


def consumer(bootstrap: str, **config: str | int | bool) -> Consumer:
    """A consumer to be used with assign and seek; it never commits, and an offset out of range is an error."""
    base = {
        "bootstrap.servers": bootstrap,
        "group.id": f"never-joined-{uuid.uuid4().hex}",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
    }
    return Consumer(base | {key.replace("_", "."): value for key, value in config.items()})


def messages(bootstrap: str, partitions: Iterable[TopicPartition], **config) -> Iterator[confluent_kafka.Message]:
    """Every record of these partitions, each from its start offset to its present end."""
    assigned = list(partitions)
    deadline = Deadline(READ_DEADLINE_S)
    reader = consumer(bootstrap, **config)
    try:
        reader.assign(assigned)
        open_partitions = len(assigned)
        while open_partitions:
            deadline.check(f"the end of {open_partitions} of {len(assigned)} partitions")
            for message in reader.consume(5_000, timeout=0.2):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions -= 1
                else:
                    raise confluent_kafka.KafkaException(error)
    finally:
        reader.close()


def read_partitions(bootstrap: str, topic: str, partitions: int) -> list[list[Entry]]:
    """All records of a topic, by partition, in the order they were delivered."""
    entries: list[list[Entry]] = [[] for _ in range(partitions)]
    starts = [TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in range(partitions)]
    for message in messages(bootstrap, starts):
        entries[message.partition()].append(Entry(message.offset(), message.key(), message.value()))
    return entries


def assert_same(got: Sequence, expected: Sequence, what: str) -> None:
    """Equality of two long sequences that names the first difference instead of printing both."""
    for index, (left, right) in enumerate(zip(got, expected)):
        assert left == right, f"{what}: item {index} is {shorten(left)}, expected {shorten(right)}"
    assert len(got) == len(expected), f"{what}: {len(got)} items, expected {len(expected)}"


def _led(client: AdminClient, topic: str, partitions: int) -> bool:
    asked = {TopicPartition(topic, p): OffsetSpec.latest() for p in range(partitions)}
    try:
        for future in client.list_offsets(asked).values():
            future.result(ADMIN_DEADLINE_S)
    except confluent_kafka.KafkaException:
        return False
    return True


def shorten(item: object, limit: int = 300) -> str:
    text = repr(item)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
