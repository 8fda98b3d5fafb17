"""Topics, offsets and configs through the admin clients, and the error codes that clients act on."""

import uuid

import confluent_kafka
import kafka
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from kafka import KafkaAdminClient, KafkaConsumer

from clients.deadline import wait_until
from clients.harness import Broker
from clients.reading import (
    ADMIN_DEADLINE_S,
    admin,
    consumer,
    create_topic,
    delete_topic,
    messages,
    read_partitions,
)

RECORDS = 100
FIRST_TIMESTAMP_MS = 1_700_000_000_000
STEP_MS = 1_000
DELIVERY_DEADLINE_S = 20.0


@pytest.fixture
def client(broker: Broker) -> AdminClient:
    return admin(broker.bootstrap)


def fill(broker: Broker, topic: str, count: int = RECORDS) -> None:
    """Records 0..count in partition 0, one second apart."""
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for number in range(count):
        producer.produce(topic, str(number).encode(), partition=0, timestamp=FIRST_TIMESTAMP_MS + number * STEP_MS)
    assert producer.flush(DELIVERY_DEADLINE_S) == 0


def delivery_error(broker: Broker, topic: str, payload: bytes = b"x", key: bytes | None = None, **config) -> int | None:
    """The error code the broker answers one record with, None when it takes it."""
    outcome: list[KafkaError | None] = []
    settings = {"bootstrap.servers": broker.bootstrap} | {k.replace("_", "."): v for k, v in config.items()}
    producer = confluent_kafka.Producer(settings)
    producer.produce(topic, payload, key, on_delivery=lambda error, _message: outcome.append(error))
    assert producer.flush(DELIVERY_DEADLINE_S) == 0
    return outcome[0].code() if outcome[0] is not None else None


def error_code(future) -> int | None:
    """The Kafka error a request failed with, None when it succeeded."""
    try:
        future.result(ADMIN_DEADLINE_S)
    except KafkaException as failure:
        return failure.args[0].code()
    return None


def configs(client: AdminClient, kind: ResourceType, name: str) -> dict[str, ConfigEntry]:
    resource = ConfigResource(kind, name)
    return client.describe_configs([resource])[resource].result(ADMIN_DEADLINE_S)


def alter(client: AdminClient, topic: str, name: str, operation: AlterConfigOpType, setting: str | None) -> int | None:
    """One incremental change of a topic config; its error code."""
    entry = ConfigEntry(name, setting, incremental_operation=operation)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    return error_code(client.incremental_alter_configs([resource])[resource])


# Topics.


def test_a_topic_is_created_listed_and_deleted(broker: Broker, client: AdminClient, topic: str):
    create_topic(broker.bootstrap, topic, partitions=3)

    described = client.list_topics(topic, timeout=ADMIN_DEADLINE_S).topics[topic]
    assert described.error is None
    assert sorted(described.partitions) == [0, 1, 2]
    for partition in described.partitions.values():
        assert partition.error is None
        assert partition.leader in partition.replicas and partition.isrs == partition.replicas

    delete_topic(broker.bootstrap, topic)
    wait_until(f"{topic} to be gone", ADMIN_DEADLINE_S, lambda: topic not in client.list_topics(timeout=5).topics)


def test_a_deleted_topic_comes_back_empty_under_its_name(broker: Broker, topic: str):
    for round_number in range(3):
        create_topic(broker.bootstrap, topic, partitions=round_number + 1)
        (first, *_others) = read_partitions(broker.bootstrap, topic, round_number + 1)
        assert first == [], "records of the deleted topic are back"
        fill(broker, topic, 10 + round_number)
        (first, *_others) = read_partitions(broker.bootstrap, topic, round_number + 1)
        assert [entry.offset for entry in first] == list(range(10 + round_number))
        delete_topic(broker.bootstrap, topic)


@pytest.mark.parametrize(
    ("name", "partitions", "replicas", "config", "code"),
    [
        ("white space", 1, 1, {}, KafkaError.TOPIC_EXCEPTION),
        ("x" * 250, 1, 1, {}, KafkaError.TOPIC_EXCEPTION),
        ("..", 1, 1, {}, KafkaError.TOPIC_EXCEPTION),
        ("fine", 0, 1, {}, KafkaError.INVALID_PARTITIONS),
        ("fine", 1, 2, {}, KafkaError.INVALID_REPLICATION_FACTOR),
        ("fine", 1, 1, {"retention.ms": "soon"}, KafkaError.INVALID_CONFIG),
        ("fine", 1, 1, {"no.such.config": "1"}, KafkaError.INVALID_CONFIG),
    ],
    ids=["space", "too-long", "dots", "no-partition", "two-replicas", "bad-value", "unknown-config"],
)
def test_bad_topics_are_refused(client: AdminClient, name: str, partitions: int, replicas: int, config, code: int):
    new = NewTopic(name, num_partitions=partitions, replication_factor=replicas, config=config)

    assert error_code(client.create_topics([new])[name]) == code
    assert name not in client.list_topics(timeout=ADMIN_DEADLINE_S).topics


def test_a_topic_exists_only_once(broker: Broker, client: AdminClient, topic: str):
    create_topic(broker.bootstrap, topic)

    again = client.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])[topic]
    assert error_code(again) == KafkaError.TOPIC_ALREADY_EXISTS


def test_defaults_are_taken_for_minus_one(client: AdminClient, topic: str):
    new = NewTopic(topic, num_partitions=-1, replication_factor=-1)

    assert error_code(client.create_topics([new])[topic]) is None
    assert len(client.list_topics(topic, timeout=ADMIN_DEADLINE_S).topics[topic].partitions) == 1


def test_validation_creates_nothing(client: AdminClient, topic: str):
    new = NewTopic(topic, num_partitions=1, replication_factor=1)

    assert error_code(client.create_topics([new], validate_only=True)[topic]) is None
    assert topic not in client.list_topics(timeout=ADMIN_DEADLINE_S).topics


def test_deleting_an_unknown_topic_is_an_error(client: AdminClient, topic: str):
    assert error_code(client.delete_topics([topic])[topic]) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_partitions_are_added_and_never_taken_away(broker: Broker, client: AdminClient, topic: str):
    create_topic(broker.bootstrap, topic)
    fill(broker, topic)

    assert error_code(client.create_partitions([NewPartitions(topic, 4)])[topic]) is None
    wait_until(
        "four partitions",
        ADMIN_DEADLINE_S,
        lambda: len(client.list_topics(topic, timeout=5).topics[topic].partitions) == 4,
    )
    for fewer in (4, 2):
        assert (
            error_code(client.create_partitions([NewPartitions(topic, fewer)])[topic]) == KafkaError.INVALID_PARTITIONS
        )
    sizes = [len(entries) for entries in read_partitions(broker.bootstrap, topic, 4)]
    assert sizes == [RECORDS, 0, 0, 0]


def test_topic_ids_change_when_a_topic_is_created_again(broker: Broker, client: AdminClient, topic: str):
    def topic_id() -> str:
        described = client.describe_topics(confluent_kafka.TopicCollection([topic]))[topic]
        return str(described.result(ADMIN_DEADLINE_S).topic_id)

    create_topic(broker.bootstrap, topic)
    first = topic_id()
    delete_topic(broker.bootstrap, topic)
    create_topic(broker.bootstrap, topic)

    assert topic_id() != first


# Topics that nobody created.


def test_producing_creates_an_unknown_topic(broker: Broker, topic: str):
    assert delivery_error(broker, topic) is None

    (entries,) = read_partitions(broker.bootstrap, topic, 1)
    assert [entry.value for entry in entries] == [b"x"]


def test_kafka_python_creates_an_unknown_topic(broker: Broker, topic: str):
    producer = kafka.KafkaProducer(bootstrap_servers=[broker.bootstrap], acks="all", retries=3)

    assert producer.send(topic, b"x").get(DELIVERY_DEADLINE_S).offset == 0
    producer.close()


def test_asking_does_not_create_an_unknown_topic(broker: Broker, client: AdminClient, topic: str):
    reader = consumer(broker.bootstrap, allow_auto_create_topics=False)
    answer = reader.list_topics(topic, timeout=ADMIN_DEADLINE_S).topics[topic]
    reader.close()

    assert answer.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert topic not in client.list_topics(timeout=ADMIN_DEADLINE_S).topics


def test_nothing_is_created_when_the_broker_is_told_not_to(new_broker, topic: str):
    broker = new_broker(properties={"auto.create.topics.enable": "false"})
    broker.start()

    assert delivery_error(broker, topic, message_timeout_ms=5_000, topic_metadata_propagation_max_ms=500) in (
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
    )
    assert topic not in admin(broker.bootstrap).list_topics(timeout=ADMIN_DEADLINE_S).topics


# Offsets.


def test_offsets_are_found_by_time(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    fill(broker, topic)
    last_ms = FIRST_TIMESTAMP_MS + (RECORDS - 1) * STEP_MS
    cases = {
        0: 0,
        FIRST_TIMESTAMP_MS: 0,
        FIRST_TIMESTAMP_MS + 1: 1,
        FIRST_TIMESTAMP_MS + 50 * STEP_MS: 50,
        last_ms: RECORDS - 1,
    }

    reader = consumer(broker.bootstrap)
    by_librdkafka = {
        ms: reader.offsets_for_times([TopicPartition(topic, 0, ms)], ADMIN_DEADLINE_S)[0].offset
        for ms in [*cases, last_ms + 1]
    }
    reader.close()
    assert by_librdkafka == cases | {last_ms + 1: confluent_kafka.OFFSET_END}

    python_reader = KafkaConsumer(bootstrap_servers=broker.bootstrap)
    partition = kafka.TopicPartition(topic, 0)
    by_kafka_python = {ms: python_reader.offsets_for_times({partition: ms})[partition].offset for ms in cases}
    beyond = python_reader.offsets_for_times({partition: last_ms + 1})[partition]
    python_reader.close()
    assert by_kafka_python == cases
    assert beyond is None


def test_offsets_are_listed_by_kind(broker: Broker, client: AdminClient, topic: str):
    create_topic(broker.bootstrap, topic)
    partition = TopicPartition(topic, 0)

    def listed(spec: OffsetSpec) -> int:
        return client.list_offsets({partition: spec})[partition].result(ADMIN_DEADLINE_S).offset

    assert (listed(OffsetSpec.earliest()), listed(OffsetSpec.latest())) == (0, 0)
    fill(broker, topic)
    assert listed(OffsetSpec.earliest()) == 0
    assert listed(OffsetSpec.latest()) == RECORDS
    assert listed(OffsetSpec.max_timestamp()) == RECORDS - 1
    assert listed(OffsetSpec.for_timestamp(FIRST_TIMESTAMP_MS + 7 * STEP_MS)) == 7


def test_deleted_records_are_gone(broker: Broker, client: AdminClient, topic: str):
    create_topic(broker.bootstrap, topic)
    fill(broker, topic)

    request = TopicPartition(topic, 0, 40)
    deleted = client.delete_records([request])[request].result(ADMIN_DEADLINE_S)

    assert deleted.low_watermark == 40
    reader = consumer(broker.bootstrap)
    assert reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=ADMIN_DEADLINE_S) == (40, RECORDS)
    reader.close()
    (entries,) = read_partitions(broker.bootstrap, topic, 1)
    assert [entry.offset for entry in entries] == list(range(40, RECORDS))
    with pytest.raises(KafkaException):
        list(messages(broker.bootstrap, [TopicPartition(topic, 0, 39)]))


def test_records_beyond_the_end_cannot_be_deleted(broker: Broker, client: AdminClient, topic: str):
    create_topic(broker.bootstrap, topic)
    fill(broker, topic)
    request = TopicPartition(topic, 0, RECORDS + 1)

    assert error_code(client.delete_records([request])[request]) == KafkaError.OFFSET_OUT_OF_RANGE


def test_kafka_python_deletes_records(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    fill(broker, topic)
    partition = kafka.TopicPartition(topic, 0)
    client = KafkaAdminClient(bootstrap_servers=broker.bootstrap)

    client.delete_records({partition: RECORDS})
    client.close()

    assert read_partitions(broker.bootstrap, topic, 1) == [[]]


# Configs.


def test_every_config_is_described_with_its_source(broker: Broker, client: AdminClient, topic: str):
    create_topic(broker.bootstrap, topic, config={"retention.ms": "12345"})

    found = configs(client, ResourceType.TOPIC, topic)

    assert found["retention.ms"].value == "12345" and not found["retention.ms"].is_default
    assert found["cleanup.policy"].value == "delete" and found["cleanup.policy"].is_default
    for name in (
        "max.message.bytes",
        "min.insync.replicas",
        "segment.bytes",
        "message.timestamp.type",
        "compression.type",
    ):
        assert found[name].value, f"{name} has no value"


def test_broker_configs_name_what_tools_look_for(broker: Broker, client: AdminClient):
    (node_id,) = client.list_topics(timeout=ADMIN_DEADLINE_S).brokers

    found = configs(client, ResourceType.BROKER, str(node_id))

    for name in ("default.replication.factor", "delete.topic.enable", "num.partitions", "auto.create.topics.enable"):
        assert found[name].value, f"{name} has no value"


def test_configs_change_one_at_a_time(broker: Broker, client: AdminClient, topic: str):
    create_topic(broker.bootstrap, topic, config={"retention.ms": "12345"})

    assert alter(client, topic, "max.message.bytes", AlterConfigOpType.SET, "2000") is None
    assert alter(client, topic, "cleanup.policy", AlterConfigOpType.APPEND, "compact") is None
    changed = configs(client, ResourceType.TOPIC, topic)
    assert changed["retention.ms"].value == "12345"
    assert changed["max.message.bytes"].value == "2000"
    assert sorted(changed["cleanup.policy"].value.split(",")) == ["compact", "delete"]

    assert alter(client, topic, "cleanup.policy", AlterConfigOpType.SUBTRACT, "delete") is None
    assert alter(client, topic, "retention.ms", AlterConfigOpType.DELETE, None) is None
    reset = configs(client, ResourceType.TOPIC, topic)
    assert reset["cleanup.policy"].value == "compact"
    assert reset["retention.ms"].is_default and reset["retention.ms"].value != "12345"


def test_bad_configs_are_refused(broker: Broker, client: AdminClient, topic: str):
    create_topic(broker.bootstrap, topic)

    for name, setting in [("retention.ms", "soon"), ("no.such.config", "1"), ("cleanup.policy", "forget")]:
        assert alter(client, topic, name, AlterConfigOpType.SET, setting) == KafkaError.INVALID_CONFIG, name
    unknown = f"unknown-{uuid.uuid4().hex}"
    assert alter(client, unknown, "retention.ms", AlterConfigOpType.SET, "1") == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_kafka_python_describes_and_alters_configs(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    client = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    resource = kafka.admin.ConfigResource(kafka.admin.ConfigResourceType.TOPIC, topic, {"retention.ms": "777"})

    assert client.alter_configs([resource]) == {"topic": {topic: "OK"}}
    asked = kafka.admin.ConfigResource(kafka.admin.ConfigResourceType.TOPIC, topic, None)
    found = client.describe_configs([asked])["topic"][topic]
    client.close()

    assert found["retention.ms"]["value"] == "777"


# What a broker must not take.


def test_too_large_batches_are_refused(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic, config={"max.message.bytes": "1000"})

    assert delivery_error(broker, topic, b"x" * 2_000) == KafkaError.MSG_SIZE_TOO_LARGE
    assert delivery_error(broker, topic, b"x" * 500) is None


def test_compacted_topics_need_keys(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic, config={"cleanup.policy": "compact"})

    assert delivery_error(broker, topic, key=None) == KafkaError.INVALID_RECORD
    assert delivery_error(broker, topic, key=b"k") is None


def test_reading_beyond_the_end_is_an_error(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    fill(broker, topic)

    with pytest.raises(KafkaException):
        list(messages(broker.bootstrap, [TopicPartition(topic, 0, RECORDS + 1)]))
