"""A journal that is small beside what producers send at once: they wait, and nothing stands still."""

import os

import pytest
from confluent_kafka import Producer
from senders import PARTITIONS

from clients.reading import create_topic

pytestmark = pytest.mark.chronik_only

# Four files of 8 MiB.
PROPERTIES = {"chronik.journal.bytes": str(32 << 20)}
VALUE_BYTES = 900_000
SENT_BYTES = 128 << 20
DEADLINE_S = 60.0


def test_more_waits_than_the_journal_holds(new_broker, topic: str):
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    create_topic(broker.bootstrap, topic, PARTITIONS)
    errors = []
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", "linger.ms": 0})
    value = os.urandom(VALUE_BYTES)
    for number in range(SENT_BYTES // VALUE_BYTES):
        producer.produce(
            topic, value=value, partition=number % PARTITIONS, on_delivery=lambda error, _: errors.append(error)
        )

    assert producer.flush(DEADLINE_S) == 0, "the journal stands still"

    assert set(errors) == {None}
