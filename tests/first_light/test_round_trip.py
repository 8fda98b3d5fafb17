"""Records go in and come out as they were, through librdkafka and through kafka-python."""

import time

import confluent_kafka
import kafka
import pytest
from confluent_kafka import TopicPartition
from kafka import KafkaConsumer, KafkaProducer

from clients.harness import Broker
from clients.reading import Entry, assert_same, consumer, create_topic, messages, read_partitions

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS = 500
FIRST_TIMESTAMP_MS = 1_700_000_000_000
DELIVERY_DEADLINE_S = 20.0


def value(number: int) -> bytes:
    """A value that compresses, with some bytes that are no text."""
    return f"record {number} ".encode() * 20 + bytes([number % 256, 0, 255])


def headers(number: int) -> list[tuple[str, bytes | None]]:
    return [("number", str(number).encode()), ("empty", b""), ("twice", b"1"), ("twice", b"2")]


def produce_with_librdkafka(bootstrap: str, topic: str, count: int = RECORDS, **config) -> list[int]:
    """Sends `count` records to partition 0, all acknowledged; returns their offsets."""
    offsets: list[int] = []

    def on_delivery(error, message):
        assert error is None, error
        offsets.append(message.offset())

    settings = {"bootstrap.servers": bootstrap, "linger.ms": 20} | {k.replace("_", "."): v for k, v in config.items()}
    producer = confluent_kafka.Producer(settings)
    for number in range(count):
        producer.produce(
            topic,
            value(number),
            str(number).encode(),
            partition=0,
            timestamp=FIRST_TIMESTAMP_MS + number,
            headers=headers(number),
            on_delivery=on_delivery,
        )
    assert producer.flush(DELIVERY_DEADLINE_S) == 0
    return offsets


def produce_with_kafka_python(bootstrap: str, topic: str, count: int = RECORDS, **config) -> list[int]:
    """The same through kafka-python."""
    codec = config.pop("compression_type", "none")
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, compression_type=None if codec == "none" else codec, linger_ms=20, **config
    )
    try:
        sent = [
            producer.send(
                topic,
                value(number),
                str(number).encode(),
                partition=0,
                timestamp_ms=FIRST_TIMESTAMP_MS + number,
                headers=headers(number),
            )
            for number in range(count)
        ]
        return [future.get(DELIVERY_DEADLINE_S).offset for future in sent]
    finally:
        producer.close(timeout=DELIVERY_DEADLINE_S)


def expected(count: int = RECORDS) -> list[tuple]:
    return [(n, FIRST_TIMESTAMP_MS + n, str(n).encode(), value(n), headers(n)) for n in range(count)]


def read_with_librdkafka(
    bootstrap: str, topic: str, start: int = confluent_kafka.OFFSET_BEGINNING, **config
) -> list[tuple]:
    """(offset, timestamp, key, value, headers) of every record of partition 0."""
    found = messages(bootstrap, [TopicPartition(topic, 0, start)], **config)
    return [(m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers()) for m in found]


def read_with_kafka_python(bootstrap: str, topic: str, start: int = 0, count: int = RECORDS, **config) -> list[tuple]:
    """The same through kafka-python, which has to be told how many records to wait for."""
    settings = {"consumer_timeout_ms": 10_000, "enable_auto_commit": False, "auto_offset_reset": "none"}
    reader = KafkaConsumer(bootstrap_servers=bootstrap, **(settings | config))
    try:
        partition = kafka.TopicPartition(topic, 0)
        reader.assign([partition])
        reader.seek(partition, start)
        found = []
        for record in reader:
            found.append((record.offset, record.timestamp, record.key, record.value, list(record.headers)))
            if len(found) == count:
                break
        return found
    finally:
        reader.close()


WRITERS = {"librdkafka": produce_with_librdkafka, "kafka-python": produce_with_kafka_python}
READERS = {"librdkafka": read_with_librdkafka, "kafka-python": read_with_kafka_python}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("writer", WRITERS)
def test_every_codec_is_read_back_by_both_clients(broker: Broker, topic: str, writer: str, codec: str):
    create_topic(broker.bootstrap, topic)

    offsets = WRITERS[writer](broker.bootstrap, topic, compression_type=codec)

    assert_same(sorted(offsets), range(RECORDS), "acknowledged offsets")
    for name, read in READERS.items():
        assert_same(read(broker.bootstrap, topic), expected(), f"{codec} by {writer}, read by {name}")


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_level_of_acks_stores_the_records(broker: Broker, topic: str, acks: str):
    create_topic(broker.bootstrap, topic)

    produce_with_librdkafka(broker.bootstrap, topic, acks=acks)

    # acks=0 is answered by nobody: wait for the records themselves.
    assert_same(read_with_kafka_python(broker.bootstrap, topic), expected(), f"acks={acks}")


@pytest.mark.parametrize("client", WRITERS)
def test_idempotent_producers_write_in_order(broker: Broker, topic: str, client: str):
    create_topic(broker.bootstrap, topic)

    offsets = WRITERS[client](broker.bootstrap, topic, enable_idempotence=True, acks="all")

    assert_same(offsets, range(RECORDS), "acknowledged offsets in order of delivery")
    assert_same(read_with_librdkafka(broker.bootstrap, topic), expected(), "records")


def test_null_and_empty_are_told_apart(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    pairs = [(None, b"no key"), (b"", b"empty key"), (b"no value", None), (b"empty value", b"")]
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    for key, payload in pairs:
        producer.send(topic, payload, key, partition=0).get(DELIVERY_DEADLINE_S)
    producer.close()

    (entries,) = read_partitions(broker.bootstrap, topic, 1)

    assert entries == [Entry(offset, *pair) for offset, pair in enumerate(pairs)]


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_reading_may_start_inside_a_batch(broker: Broker, topic: str, codec: str):
    create_topic(broker.bootstrap, topic)
    produce_with_librdkafka(broker.bootstrap, topic, compression_type=codec, linger_ms=200)

    for start in (0, 1, RECORDS // 2, RECORDS - 1, RECORDS):
        found = read_with_librdkafka(broker.bootstrap, topic, start)
        assert_same(found, expected()[start:], f"from offset {start}")


def test_a_fetch_limit_below_one_batch_still_makes_progress(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    produce_with_librdkafka(broker.bootstrap, topic, linger_ms=200)

    found = read_with_kafka_python(broker.bootstrap, topic, max_partition_fetch_bytes=1, fetch_max_bytes=1)

    assert_same(found, expected(), "records")


def test_a_waiting_fetch_is_answered_by_the_next_record(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    wait_ms = 4_000
    reader = consumer(broker.bootstrap, fetch_wait_max_ms=wait_ms, fetch_min_bytes=1)
    try:
        reader.assign([TopicPartition(topic, 0, 0)])
        end_of_partition = reader.poll(DELIVERY_DEADLINE_S)
        assert end_of_partition.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
        began = time.monotonic()
        produce_with_librdkafka(broker.bootstrap, topic, count=1)
        message = reader.poll(DELIVERY_DEADLINE_S)
        waited_ms = (time.monotonic() - began) * 1_000
    finally:
        reader.close()

    assert message.error() is None and message.value() == value(0)
    assert waited_ms < wait_ms / 2, f"the record took {waited_ms:.0f} ms, as if the fetch had slept"


# Wire versions that kafka-python derives from the broker release it is told to expect.
@pytest.mark.parametrize("release", [(0, 11), (1, 0), (1, 1), (2, 1), (2, 4), (3, 0)], ids=lambda r: f"{r[0]}.{r[1]}")
def test_clients_that_speak_old_versions_are_served(broker: Broker, topic: str, release: tuple[int, int]):
    create_topic(broker.bootstrap, topic)

    offsets = produce_with_kafka_python(broker.bootstrap, topic, api_version=release, compression_type="gzip")

    assert_same(offsets, range(RECORDS), "acknowledged offsets")
    found = read_with_kafka_python(broker.bootstrap, topic, api_version=release)
    assert_same(found, expected(), f"records as release {release} sees them")


def test_log_append_time_replaces_the_producers_time(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic, config={"message.timestamp.type": "LogAppendTime"})
    before_ms = int(time.time() * 1_000)

    produce_with_librdkafka(broker.bootstrap, topic)

    after_ms = int(time.time() * 1_000)
    found = list(messages(broker.bootstrap, [TopicPartition(topic, 0, 0)]))
    assert len(found) == RECORDS
    for message in found:
        kind, timestamp_ms = message.timestamp()
        assert kind == confluent_kafka.TIMESTAMP_LOG_APPEND_TIME
        assert before_ms <= timestamp_ms <= after_ms


def test_many_partitions_keep_their_records_apart(broker: Broker, topic: str):
    partitions = 16
    create_topic(broker.bootstrap, topic, partitions)
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for number in range(partitions * 50):
        producer.produce(topic, str(number).encode(), partition=number % partitions)
    assert producer.flush(DELIVERY_DEADLINE_S) == 0

    for partition, entries in enumerate(read_partitions(broker.bootstrap, topic, partitions)):
        numbers = range(partition, partitions * 50, partitions)
        assert entries == [Entry(o, None, str(n).encode()) for o, n in enumerate(numbers)]


def test_a_large_record_comes_back_whole(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    large = bytes(range(256)) * 4_000
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, "message.max.bytes": 2_000_000})
    producer.produce(topic, large, partition=0)
    assert producer.flush(DELIVERY_DEADLINE_S) == 0

    (entries,) = read_partitions(broker.bootstrap, topic, 1)

    assert len(entries) == 1 and entries[0].value == large


def test_records_survive_a_graceful_restart(new_broker, topic: str):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic)
    produce_with_librdkafka(broker.bootstrap, topic, compression_type="lz4")

    broker.restart()

    assert_same(read_with_librdkafka(broker.bootstrap, topic), expected(), "after the restart")
    assert produce_with_librdkafka(broker.bootstrap, topic, count=1) == [RECORDS]
