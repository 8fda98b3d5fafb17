"""Kafka's own tools, unchanged, against this server and against the files it writes."""

import os
import re
from pathlib import Path

import confluent_kafka
import pytest

from clients import kafka_tools
from clients.harness import Broker
from clients.kafka_tools import run_tool, try_tool
from clients.reading import create_topic
from clients.tools import require_tool

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS_PER_CODEC = 200
DELIVERY_DEADLINE_S = 20.0
# How DumpLogSegments reports an index or a batch that it does not like.
COMPLAINTS = re.compile(
    r"isvalid: false|Found invalid|Mismatches in|Index offset: .* larger|Non-consecutive|unexpected|corrupt",
    re.IGNORECASE,
)

pytestmark = pytest.mark.kafka_tools


@pytest.fixture(autouse=True, scope="module")
def jars() -> None:
    require_tool("java")
    if not kafka_tools.installed():
        missing = f"no Kafka tools in {kafka_tools.KAFKA_LIB}; run: tests/run --stage kafka-tools"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)


def produce(broker: Broker, topic: str, codec: str = "none", count: int = RECORDS_PER_CODEC) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker.bootstrap, "compression.type": codec, "linger.ms": 100, "enable.idempotence": True}
    )
    for number in range(count):
        producer.produce(topic, f"{codec} {number} ".encode() * 10, f"key {number}".encode(), headers={"codec": codec})
    assert producer.flush(DELIVERY_DEADLINE_S) == 0


def segments(broker: Broker, topic: str) -> list[Path]:
    """The log segments of partition 0, wherever below the data directory they are."""
    found = sorted(p for p in broker.data_dir.rglob("*.log") if p.parent.name.startswith(f"{topic}-0"))
    assert found, f"no segment of {topic} in {[str(p) for p in broker.data_dir.rglob('*.log')]}"
    return found


def topics(broker: Broker, *arguments: str) -> str:
    return run_tool(kafka_tools.TOPICS, "--bootstrap-server", broker.bootstrap, *arguments)


def test_dump_log_reads_segments_of_every_codec(new_broker, topic: str):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic)
    for codec in CODECS:
        produce(broker, topic, codec)

    broker.stop()

    dumped = "".join(
        run_tool(kafka_tools.DUMP_LOG, "--deep-iteration", "--print-data-log", "--files", segment)
        for segment in segments(broker, topic)
    )
    assert not COMPLAINTS.search(dumped), COMPLAINTS.search(dumped).group()
    batches = re.findall(
        r"^baseOffset: (\d+) lastOffset: (\d+) .*?compresscodec: (\w+) .*isvalid: true$", dumped, re.MULTILINE
    )
    assert batches, dumped[:2_000]
    assert {codec for _, _, codec in batches} == set(CODECS)
    ends = [-1, *(int(last) for _, last, _ in batches)]
    assert [int(first) for first, _, _ in batches] == [end + 1 for end in ends[:-1]], "batches leave gaps"
    records = re.findall(r"^\| offset: (\d+) .* key: key (\d+) payload: (\w+) (\d+) ", dumped, re.MULTILINE)
    assert [int(record[0]) for record in records] == list(range(RECORDS_PER_CODEC * len(CODECS)))
    expected = [(str(n), codec, str(n)) for codec in CODECS for n in range(RECORDS_PER_CODEC)]
    assert [record[1:] for record in records] == expected


def test_dump_log_reads_the_indexes(new_broker, topic: str):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, config={"index.interval.bytes": "100"})
    for _ in range(5):
        produce(broker, topic)

    broker.stop()

    for segment in segments(broker, topic):
        for suffix in (".index", ".timeindex"):
            index = segment.with_suffix(suffix)
            if index.exists():
                dumped = run_tool(kafka_tools.DUMP_LOG, "--files", index)
                assert not COMPLAINTS.search(dumped), dumped[:2_000]


def test_topics_are_managed(broker: Broker, topic: str):
    create = topics(broker, "--create", "--topic", topic, "--partitions", "3", "--config", "retention.ms=60000")
    assert f"Created topic {topic}." in create
    assert topic in topics(broker, "--list").split()

    described = topics(broker, "--describe", "--topic", topic)
    assert re.search(rf"Topic: {topic}\s+TopicId: \S+\s+PartitionCount: 3\s+ReplicationFactor: 1", described), described
    assert "retention.ms=60000" in described
    assert len(re.findall(r"Partition: \d+\s+Leader: (\d+)\s+Replicas: \1\s+Isr: \1", described)) == 3, described

    topics(broker, "--alter", "--topic", topic, "--partitions", "5")
    assert "PartitionCount: 5" in topics(broker, "--describe", "--topic", topic)

    topics(broker, "--delete", "--topic", topic)
    assert topic not in topics(broker, "--list").split()


def test_topics_reports_an_existing_topic(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)

    again = try_tool(kafka_tools.TOPICS, "--bootstrap-server", broker.bootstrap, "--create", "--topic", topic)

    assert again.returncode == 1
    assert f"Topic '{topic}' already exists" in again.stdout + again.stderr


def test_nothing_is_under_replicated(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)

    for question in ("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"):
        assert topics(broker, "--describe", question).strip() == "", question


def test_topic_configs_are_described_and_altered(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    of_topic = ["--bootstrap-server", broker.bootstrap, "--entity-type", "topics", "--entity-name", topic]

    run_tool(kafka_tools.CONFIGS, *of_topic, "--alter", "--add-config", "retention.ms=4242,max.message.bytes=5000")
    described = run_tool(kafka_tools.CONFIGS, *of_topic, "--describe")
    assert "retention.ms=4242" in described and "max.message.bytes=5000" in described
    assert "DYNAMIC_TOPIC_CONFIG:retention.ms=4242" in described

    run_tool(kafka_tools.CONFIGS, *of_topic, "--alter", "--delete-config", "retention.ms")
    assert "retention.ms=4242" not in run_tool(kafka_tools.CONFIGS, *of_topic, "--describe")
    everything = run_tool(kafka_tools.CONFIGS, *of_topic, "--describe", "--all")
    assert "cleanup.policy=delete" in everything and "DEFAULT_CONFIG:" in everything


def test_broker_configs_are_described_and_altered(new_broker):
    broker = new_broker()
    broker.start()
    to_broker = ["--bootstrap-server", broker.bootstrap, "--entity-type", "brokers"]

    every = run_tool(kafka_tools.CONFIGS, *to_broker, "--describe", "--all")
    assert "default.replication.factor=" in every and "delete.topic.enable=" in every

    run_tool(kafka_tools.CONFIGS, *to_broker, "--entity-default", "--alter", "--add-config", "message.max.bytes=123456")
    described = run_tool(kafka_tools.CONFIGS, *to_broker, "--entity-default", "--describe")
    assert "message.max.bytes=123456" in described
    run_tool(kafka_tools.CONFIGS, *to_broker, "--entity-default", "--alter", "--delete-config", "message.max.bytes")
    assert "123456" not in run_tool(kafka_tools.CONFIGS, *to_broker, "--entity-default", "--describe")


def test_offsets_are_listed_and_records_deleted(broker: Broker, topic: str, tmp_path: Path):
    create_topic(broker.bootstrap, topic)
    produce(broker, topic)

    def offset(time: str) -> str:
        asked = ["--bootstrap-server", broker.bootstrap, "--topic", topic, "--time", time]
        return run_tool(kafka_tools.OFFSETS, *asked).strip()

    assert offset("latest") == f"{topic}:0:{RECORDS_PER_CODEC}"
    assert offset("earliest") == f"{topic}:0:0"

    wanted = tmp_path / "delete.json"
    wanted.write_text(f'{{"version": 1, "partitions": [{{"topic": "{topic}", "partition": 0, "offset": 50}}]}}')
    to_delete = ["--bootstrap-server", broker.bootstrap, "--offset-json-file", wanted]
    deleted = run_tool(kafka_tools.DELETE_RECORDS, *to_delete)
    assert f"partition: {topic}-0\tlow_watermark: 50" in deleted
    assert offset("earliest") == f"{topic}:0:50"


@pytest.mark.parametrize("codec", CODECS)
def test_console_producer_and_consumer(broker: Broker, topic: str, codec: str):
    create_topic(broker.bootstrap, topic)
    lines = [f"line {number} through {codec}" for number in range(RECORDS_PER_CODEC)]

    to_topic = ["--bootstrap-server", broker.bootstrap, "--topic", topic]
    run_tool(kafka_tools.PRODUCER, *to_topic, "--compression-codec", codec, stdin="\n".join(lines) + "\n")
    from_start = [
        "--partition",
        "0",
        "--offset",
        "earliest",
        "--max-messages",
        str(len(lines)),
        "--timeout-ms",
        "20000",
    ]
    read = run_tool(kafka_tools.CONSUMER, *to_topic, *from_start)

    assert read.splitlines() == lines


def test_console_producer_creates_its_topic(broker: Broker, topic: str):
    to_topic = ["--bootstrap-server", broker.bootstrap, "--topic", topic]
    run_tool(kafka_tools.PRODUCER, *to_topic, stdin="first\n")

    arguments = [*to_topic, "--partition", "0", "--offset", "earliest", "--max-messages", "1", "--timeout-ms", "20000"]
    assert run_tool(kafka_tools.CONSUMER, *arguments) == "first\n"


def test_api_versions_are_understood(broker: Broker):
    printed = run_tool(kafka_tools.API_VERSIONS, "--bootstrap-server", broker.bootstrap)

    assert broker.bootstrap in printed or f":{broker.port}" in printed
    served = dict(re.findall(r"^\s*(\w+)\(\d+\): (.*?),?$", printed, re.MULTILINE))
    for api in ("Produce", "Fetch", "ListOffsets", "Metadata", "ApiVersions", "CreateTopics", "InitProducerId"):
        assert "usable" in served.get(api, ""), f"{api}: {served.get(api)}"
    assert "UNKNOWN(" not in printed
