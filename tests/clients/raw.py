"""Produce and Fetch requests written by hand, for clients that misbehave in ways no library lets them."""

import struct
import time

from crc32c import crc32c

from clients import wire

FETCH = 1

PRODUCE_VERSION = 3
FETCH_VERSION = 4

ACKS_ALL = -1
TIMEOUT_MS = 30_000

# What a batch's checksum does not cover: base offset, length, leader epoch, magic and the checksum itself.
BATCH_PREFIX = struct.Struct(">qiibI")
BATCH_REST = struct.Struct(">hiqqqhii")
LENGTH_COVERS_FROM = 12


def record_batch(value: bytes) -> bytes:
    """One uncompressed batch of one record without a key."""
    body = b"\0" + _varint(0) + _varint(0) + _varint(-1) + _varint(len(value)) + value + _varint(0)
    now_ms = int(time.time() * 1_000)
    rest = BATCH_REST.pack(0, 0, now_ms, now_ms, -1, -1, -1, 1) + _varint(len(body)) + body
    length = BATCH_PREFIX.size - LENGTH_COVERS_FROM + len(rest)
    return BATCH_PREFIX.pack(0, length, -1, 2, crc32c(rest)) + rest


def produce_request(topic: str, partition: int, batch: bytes) -> bytes:
    """A framed Produce with acks=all of one batch."""
    return produce_requests(topic, {partition: batch})


def produce_requests(topic: str, batches: dict[int, bytes]) -> bytes:
    """A framed Produce with acks=all of one batch for each partition."""
    body = struct.pack(">hhi", -1, ACKS_ALL, TIMEOUT_MS)
    body += struct.pack(">i", 1) + wire.string(topic) + struct.pack(">i", len(batches))
    parts = [struct.pack(">ii", partition, len(batch)) + batch for partition, batch in batches.items()]
    return wire.request(wire.PRODUCE, PRODUCE_VERSION, 1, body + b"".join(parts))


def produce_error(body: bytes) -> int:
    """The error code of the first partition in an answer to `produce_request`."""
    (name_bytes,) = struct.unpack_from(">h", body, 4)
    (code,) = struct.unpack_from(">h", body, 4 + 2 + name_bytes + 4 + 4)
    return code


def fetch_request(topic: str, partition: int, offset: int, max_bytes: int) -> bytes:
    """A framed Fetch of one partition that waits for nothing."""
    body = struct.pack(">iiiib", -1, 0, 1, max_bytes, 0)
    body += struct.pack(">i", 1) + wire.string(topic)
    body += struct.pack(">iiqi", 1, partition, offset, max_bytes)
    return wire.request(FETCH, FETCH_VERSION, 1, body)


def _varint(number: int) -> bytes:
    """A number as records have it: zigzag, seven bits to a byte."""
    rest = number * 2 if number >= 0 else -number * 2 - 1
    encoded = bytearray()
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)
