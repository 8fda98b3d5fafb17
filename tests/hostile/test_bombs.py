"""Small things that claim to be large: lengths, arrays, tagged fields, compressed records."""

import gzip
import socket
import struct
import threading
import time
from contextlib import suppress

import pytest
import zstandard
from crc32c import crc32c
from good_client import good_client, quiet_p99_ms
from watching import assert_patient, assert_unharmed

from clients import raw, wire
from clients.reading import create_topic

pytestmark = pytest.mark.chronik_only

BUDGET_MIB = 128
PATIENCE_S = 30.0
QUIET_S = 2.0
LENGTHS = [2**31 - 1, 2**31 - 5, 2**30, 101 << 20, -1, -(2**31)]
LENGTH_CONNECTIONS = 600
BOMB_BYTES = 8 << 20
INFLATED_BYTES = 200 << 20
COMPRESSION_TYPES = {"gzip": 1, "zstd": 4}
BATCH_HEADER_BYTES = 61


@pytest.fixture(scope="module")
def target(broker) -> str:
    """A topic on the broker of this file."""
    name = "bombed"
    create_topic(broker.bootstrap, name, 2, {"compression.type": "uncompressed"})
    return name


def test_lengths_that_promise_two_gigabytes(broker, target: str, record_property):
    before = quiet_p99_ms(broker.port, target, QUIET_S)
    sockets = []
    with good_client(broker.port, target) as client:
        for number in range(LENGTH_CONNECTIONS):
            one = socket.create_connection(("127.0.0.1", broker.port), PATIENCE_S)
            one.sendall(struct.pack(">i", LENGTHS[number % len(LENGTHS)]) + b"\0" * 20)
            sockets.append(one)
        for one in sockets:
            assert ended(one), "a length beyond the limit is refused at once"
            one.close()
    record_property("a good client beside lengths of 2 GB", assert_patient(before, client))
    record_property("peak memory, lengths of 2 GB", f"{assert_unharmed(broker, BUDGET_MIB):.0f} MiB")


def array_bombs() -> dict[str, bytes]:
    """Bodies of some megabytes that are nothing but small elements."""

    def header(key: int, version: int, flexible: bool) -> bytes:
        return struct.pack(">hhih", key, version, 1, 0) + (b"\0" if flexible else b"")

    half = BOMB_BYTES // 2
    return {
        "Metadata by name": header(3, 8, False) + struct.pack(">i", half) + b"\0\0" * half + b"\0\0\0",
        "Metadata by id": header(3, 12, True) + varint(half + 1) + b"\0" * BOMB_BYTES,
        "DeleteTopics": header(20, 5, True) + varint(BOMB_BYTES + 1) + b"\1" * BOMB_BYTES,
        "FindCoordinator": header(10, 4, True) + b"\0" + varint(BOMB_BYTES + 1) + b"\1" * BOMB_BYTES,
        "DescribeGroups": header(15, 5, True) + varint(BOMB_BYTES + 1) + b"\1" * BOMB_BYTES,
        "DescribeConfigs": header(32, 1, False)
        + struct.pack(">i", BOMB_BYTES // 10)
        + b"\2\0\1b\xff\xff\xff\xff" * (BOMB_BYTES // 8),
        "CreateAcls": header(30, 2, True) + varint(BOMB_BYTES // 8) + b"\2\2x\3\2x\2x\3\3\0" * (BOMB_BYTES // 10),
        "Produce": header(0, 9, True)
        + b"\0\xff\xff\0\0\0\0\2\2b"
        + varint(BOMB_BYTES // 6)
        + b"\0\0\0\0\0\0" * (half // 3),
        "Fetch": header(1, 12, True)
        + struct.pack(">iiiibii", -1, 0, 0, 1, 0, 0, -1)
        + b"\2\2b"
        + varint(BOMB_BYTES // 33)
        + b"\0" * BOMB_BYTES,
        "tagged fields": header(18, 3, False) + varint(BOMB_BYTES // 3) + b"\x90\1\0" * (BOMB_BYTES // 3),
        "tagged fields of a body": header(18, 3, True) + b"\2x\2x" + varint(BOMB_BYTES // 3) + rising_tags(),
    }


def rising_tags() -> bytes:
    return b"".join(varint(tag + 9) + b"\0" for tag in range(BOMB_BYTES // 5))


def test_arrays_and_tags_of_small_elements(broker, target: str, record_property):
    bombs = array_bombs()
    before = quiet_p99_ms(broker.port, target, QUIET_S)
    with good_client(broker.port, target) as client:
        for bomb in bombs.values():
            senders = [threading.Thread(target=deliver, args=(broker.port, bomb)) for _ in range(4)]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
    record_property("a good client beside array bombs", assert_patient(before, client))
    record_property("peak memory, array bombs", f"{assert_unharmed(broker, BUDGET_MIB):.0f} MiB")


def deliver(port: int, frame: bytes) -> None:
    """Sends a frame and takes whatever comes back."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE_S) as sock:
        sock.sendall(struct.pack(">i", len(frame)) + frame)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 20):
            pass


@pytest.mark.parametrize("codec", COMPRESSION_TYPES)
def test_records_that_inflate(broker, target: str, codec: str, record_property):
    """The topic stores its records uncompressed, so a leader has to take them apart."""
    bomb = compressed_batch(codec)
    before = quiet_p99_ms(broker.port, target, QUIET_S)
    with good_client(broker.port, target) as client:
        for _ in range(6):
            with wire.Connection(broker.port, PATIENCE_S) as connection:
                connection.sock.sendall(raw.produce_request(target, 1, bomb))
                _, answer = connection.receive()
                assert raw.produce_error(answer) != wire.ERROR_NONE
    record_property(f"a good client beside {codec} bombs", assert_patient(before, client))
    record_property(f"peak memory, {codec} bombs", f"{assert_unharmed(broker, BUDGET_MIB):.0f} MiB")


def compressed_batch(codec: str) -> bytes:
    """One batch of one record, of some hundred kilobytes, that is 200 MB once taken apart."""
    zeros = bytes(INFLATED_BYTES)
    packed = gzip.compress(zeros, 9) if codec == "gzip" else zstandard.compress(zeros, 19)
    now_ms = int(time.time() * 1_000)
    rest = raw.BATCH_REST.pack(COMPRESSION_TYPES[codec], 0, now_ms, now_ms, -1, -1, -1, 1) + packed
    length = BATCH_HEADER_BYTES - raw.LENGTH_COVERS_FROM + len(packed)
    return raw.BATCH_PREFIX.pack(0, length, -1, 2, crc32c(rest)) + rest


def varint(number: int) -> bytes:
    """An unsigned varint."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def ended(sock: socket.socket) -> bool:
    """Whether the server ended the connection, without a byte."""
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True
