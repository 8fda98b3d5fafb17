"""What several checks need: topics of their own, sending, refusals and comparisons that say what differs."""

import itertools
from collections.abc import Callable

from clients.deadline import wait_until
from clients.program.client import Client, Outgoing, Record, Refused
from clients.program.report import Settings

UNKNOWN_TOPIC_OR_PARTITION = 3
MESSAGE_TOO_LARGE = 10
OFFSET_OUT_OF_RANGE = 1
UNSUPPORTED_VERSION = 35
TOPIC_ALREADY_EXISTS = 36
INVALID_PARTITIONS = 37
INVALID_CONFIG = 40
NON_EMPTY_GROUP = 68
GROUP_ID_NOT_FOUND = 69
FENCED_INSTANCE_ID = 82
TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53

# How a broker says that it serves no transactions: the request is unknown, or no transactional id is allowed.
NO_TRANSACTIONS = (UNSUPPORTED_VERSION, TRANSACTIONAL_ID_AUTHORIZATION_FAILED)

FIRST_TIMESTAMP_MS = 1_750_000_000_000
STEP_MS = 1_000
WAIT_S = 20.0

_topics = itertools.count()
_groups = itertools.count()


def new_topic(client: Client, partitions: int = 1, config: dict[str, str] | None = None) -> str:
    """A topic of this check's own, ready to be written."""
    name = f"{Settings.prefix}t{next(_topics)}"
    client.provide_topic(name, partitions, config)
    wait_until(f"{name} to have {partitions} partitions", WAIT_S, lambda: has_partitions(client, name, partitions))
    if Settings.kafka:
        # Kafka confirms before its broker leads the topic; ours must not, so there is no wait for ours.
        wait_until(f"{name} to be led", WAIT_S, lambda: _led(client, name, partitions))
    return name


def new_group() -> str:
    return f"{Settings.prefix}g{next(_groups)}"


def send(client: Client, topic: str, records: list[Outgoing], **config) -> list[int]:
    """Sends with a producer of its own; the offsets."""
    producer = client.producer(**config)
    try:
        return producer.send(topic, records)
    finally:
        producer.close()


def refusal(action: Callable[[], object]) -> Refused:
    """The error of something that must be refused."""
    try:
        action()
    except Refused as refused:
        return refused
    raise AssertionError("the broker did not refuse")


def assert_equal(got: object, expected: object, what: str) -> None:
    assert got == expected, f"{what}: got {got!r:.300}, expected {expected!r:.300}"


def numbered(count: int, partition: int = 0, timestamps: bool = False) -> list[Outgoing]:
    """Records whose value is their number, one second apart when timestamps are asked for."""
    return [
        Outgoing(
            b"%d-%d" % (partition, number),
            partition=partition,
            timestamp_ms=FIRST_TIMESTAMP_MS + number * STEP_MS if timestamps else None,
        )
        for number in range(count)
    ]


def values(records: list[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def present_partitions(client: Client, topic: str) -> list[int]:
    try:
        return client.partitions(topic)
    except Refused:
        return []


def has_partitions(client: Client, topic: str, partitions: int) -> bool:
    return len(present_partitions(client, topic)) == partitions


def _led(client: Client, topic: str, partitions: int) -> bool:
    try:
        return all(client.offsets(topic, partition) for partition in range(partitions))
    except Refused:
        return False
