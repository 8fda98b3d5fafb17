"""What clients rely on below their libraries: versions, order of answers, and errors instead of closed sockets."""

import os
import socket
import struct

import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder

from clients import wire
from clients.harness import Broker
from clients.reading import create_topic, read_partitions
from clients.wire import API_VERSIONS, METADATA, PRODUCE, Connection

CORRUPT_MESSAGE = 2
UNKNOWN_TOPIC_OR_PARTITION = 3
PRODUCE_VERSION = 3
CRC_OFFSET = 17
REQUEST_TIMEOUT_MS = 10_000
CLOSE_DEADLINE_S = 20.0
# Ends the header of version 2, which ApiVersions uses from its version 3 on.
NO_TAGGED_FIELDS = b"\x00"


def batch(*values: bytes) -> bytes:
    """One uncompressed record batch of format v2."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for position, value in enumerate(values):
        builder.append(position, timestamp=1_700_000_000_000, key=None, value=value, headers=[])
    return bytes(builder.build())


def produce_body(topic: str, partition: int, records: bytes, acks: int = -1) -> bytes:
    """The body of a Produce request, version 3, for one partition."""
    head = struct.pack(">hhi", -1, acks, REQUEST_TIMEOUT_MS)
    one_partition = struct.pack(">iii", 1, partition, len(records)) + records
    return head + struct.pack(">i", 1) + wire.string(topic) + one_partition


def produce_result(body: bytes, topic: str) -> tuple[int, int]:
    """(error code, base offset) of a Produce response, version 3, for one partition."""
    at = 4 + len(wire.string(topic)) + 4 + 4
    return struct.unpack_from(">hq", body, at)


def metadata_body(topic: str) -> bytes:
    return struct.pack(">i", 1) + wire.string(topic)


def test_an_unknown_version_of_api_versions_is_answered_with_the_table(broker: Broker):
    with Connection(broker.port) as connection:
        connection.send(API_VERSIONS, 99, 7, NO_TAGGED_FIELDS)
        correlation_id, body = connection.receive()
        error_code, ranges = wire.parse_api_versions_v0(body)
        connection.send(API_VERSIONS, 0, 8)
        following, _ = connection.receive()

    assert (correlation_id, following) == (7, 8)
    assert error_code == wire.ERROR_UNSUPPORTED_VERSION
    assert API_VERSIONS in ranges


def test_produce_is_offered_from_version_0(broker: Broker):
    """librdkafka up to 2.10 takes a higher minimum for a broker that cannot compress."""
    assert wire.api_versions(broker.port)[PRODUCE].min_version == 0


def test_pipelined_requests_are_answered_in_order(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    records = batch(b"pipelined")
    count = 60
    frames = []
    for number in range(count):
        kinds = [
            (API_VERSIONS, 0, b""),
            (PRODUCE, PRODUCE_VERSION, produce_body(topic, 0, records)),
            (METADATA, 1, metadata_body(topic)),
        ]
        key, version, body = kinds[number % len(kinds)]
        frames.append(wire.request(key, version, number, body))

    with Connection(broker.port) as connection:
        connection.sock.sendall(b"".join(frames))
        answers = [connection.receive() for _ in range(count)]

    assert [correlation_id for correlation_id, _ in answers] == list(range(count))
    produced = [produce_result(body, topic) for number, (_, body) in enumerate(answers) if number % 3 == 1]
    assert produced == [(wire.ERROR_NONE, offset) for offset in range(count // 3)]


@pytest.mark.chronik_only
def test_a_created_topic_can_be_written_at_once(broker: Broker, topic: str):
    """No first request fails with an error that a client has to retry."""
    for number in range(20):
        name = f"{topic}-{number}"
        create_topic(broker.bootstrap, name, partitions=3)
        with Connection(broker.port) as connection:
            connection.send(PRODUCE, PRODUCE_VERSION, 1, produce_body(name, 2, batch(b"first")))
            _, body = connection.receive()
        assert produce_result(body, name) == (wire.ERROR_NONE, 0)


def test_acks_0_is_not_answered(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)

    with Connection(broker.port) as connection:
        connection.send(PRODUCE, PRODUCE_VERSION, 1, produce_body(topic, 0, batch(b"silent"), acks=0))
        connection.send(PRODUCE, PRODUCE_VERSION, 2, produce_body(topic, 0, batch(b"answered")))
        correlation_id, body = connection.receive()

    assert correlation_id == 2
    assert produce_result(body, topic) == (wire.ERROR_NONE, 1)
    (entries,) = read_partitions(broker.bootstrap, topic, 1)
    assert [entry.value for entry in entries] == [b"silent", b"answered"]


def test_a_batch_with_a_wrong_checksum_is_refused(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    damaged = bytearray(batch(b"damaged"))
    damaged[CRC_OFFSET] ^= 0x01

    with Connection(broker.port) as connection:
        connection.send(PRODUCE, PRODUCE_VERSION, 1, produce_body(topic, 0, bytes(damaged)))
        _, body = connection.receive()

    assert produce_result(body, topic)[0] == CORRUPT_MESSAGE
    assert read_partitions(broker.bootstrap, topic, 1) == [[]]


def test_producing_to_a_missing_partition_is_an_answer(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)

    with Connection(broker.port) as connection:
        connection.send(PRODUCE, PRODUCE_VERSION, 1, produce_body(topic, 9, batch(b"lost")))
        _, body = connection.receive()

    assert produce_result(body, topic)[0] == UNKNOWN_TOPIC_OR_PARTITION


def test_requests_may_arrive_byte_by_byte(broker: Broker):
    with Connection(broker.port) as connection:
        for byte in wire.request(API_VERSIONS, 0, 3):
            connection.sock.sendall(bytes([byte]))
        correlation_id, body = connection.receive()

    assert correlation_id == 3
    assert wire.parse_api_versions_v0(body)[0] == wire.ERROR_NONE


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": bytes.fromhex("16030100a5010000a10303") + bytes(range(160)),
    "largest-length": struct.pack(">i", 2**31 - 1) + b"x" * 64,
    "negative-length": struct.pack(">i", -1) + b"x" * 64,
    "empty-frame": struct.pack(">i", 0) + b"x" * 64,
    "unknown-api": wire.request(9_999, 0, 1, b"x" * 32),
    "truncated-body": wire.request(METADATA, 1, 1, b"\x00\x00"),
    "huge-array": wire.request(METADATA, 1, 1, struct.pack(">i", 2**31 - 1)),
    "random": struct.pack(">i", 256) + b"\xff\xff" + os.urandom(254),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_closes_its_own_connection_only(broker: Broker, kind: str):
    with Connection(broker.port) as bystander, Connection(broker.port) as sender:
        bystander.send(API_VERSIONS, 0, 1)
        assert bystander.receive()[0] == 1

        sender.sock.sendall(GARBAGE[kind])
        assert sender.closed_by_peer(), "garbage was answered"

        bystander.send(API_VERSIONS, 0, 2)
        assert bystander.receive()[0] == 2
    assert wire.api_versions(broker.port)


@pytest.mark.parametrize("answered_first", [False, True])
def test_a_connection_that_its_client_ends_is_closed(broker: Broker, answered_first: bool):
    """Whether the end comes with the last request or behind its answer; nothing else would tell of it later."""
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", broker.port), timeout=CLOSE_DEADLINE_S) as client:
            client.sendall(wire.request(API_VERSIONS, 0, 7))
            if answered_first:
                assert client.recv(4)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4_096):
                pass
