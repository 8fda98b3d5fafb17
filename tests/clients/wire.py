"""The few frames of the Kafka protocol that the suites write by hand, so that no client library stands between."""

import socket
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

API_VERSIONS = 18
METADATA = 3
PRODUCE = 0

ERROR_NONE = 0
ERROR_UNSUPPORTED_VERSION = 35

LIST_OFFSETS = 2
FETCH = 1
OFFSET_COMMIT = 8
OFFSET_FETCH = 9
FIND_COORDINATOR = 10
JOIN_GROUP = 11
HEARTBEAT = 12
LEAVE_GROUP = 13
SYNC_GROUP = 14
LIST_GROUPS = 16

CLIENT_ID = b"chronik-suites"


class ApiRange(NamedTuple):
    """The versions of one API that a broker serves, both ends included."""

    min_version: int
    max_version: int


class Connection:
    """One TCP connection that sends and receives whole frames."""

    def __init__(self, port: int, timeout_s: float = 10.0, host: str = "127.0.0.1"):
        self.sock = socket.create_connection((host, port), timeout=timeout_s)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, api_key: int, version: int, correlation_id: int, body: bytes = b"") -> None:
        """Sends one request with header v1 (no tagged fields)."""
        self.sock.sendall(request(api_key, version, correlation_id, body))

    def receive(self) -> tuple[int, bytes]:
        """The next response as (correlation id, body); raises ConnectionError when the peer closed."""
        (length,) = struct.unpack(">i", self._exactly(4))
        frame = self._exactly(length)
        (correlation_id,) = struct.unpack_from(">i", frame)
        return correlation_id, frame[4:]

    def closed_by_peer(self) -> bool:
        """Waits for the peer's end of stream (or reset) and tells whether it came before any byte."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self.sock.recv(count - len(parts))
            if not part:
                raise ConnectionError(f"closed after {len(parts)} of {count} bytes")
            parts += part
        return bytes(parts)


def request(api_key: int, version: int, correlation_id: int, body: bytes = b"") -> bytes:
    """One framed request with header v1."""
    header = struct.pack(">hhih", api_key, version, correlation_id, len(CLIENT_ID)) + CLIENT_ID
    return struct.pack(">i", len(header) + len(body)) + header + body


def string(text: str | None) -> bytes:
    """A string of the non-flexible encoding."""
    if text is None:
        return struct.pack(">h", -1)
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def nullable_bytes(raw: bytes | None) -> bytes:
    """Bytes of the non-flexible encoding."""
    return struct.pack(">i", -1) if raw is None else struct.pack(">i", len(raw)) + raw


def array(items: Iterable[bytes]) -> bytes:
    """An array of the non-flexible encoding."""
    encoded = list(items)
    return struct.pack(">i", len(encoded)) + b"".join(encoded)


# What a body of the non-flexible encoding is made of: one letter of `struct` for a number, "s" for a nullable
# string, "B" for nullable bytes, and a list of these for an array.
Schema = Sequence["str | Schema"]


def decode(schema: Schema, body: bytes) -> list:
    """The fields of a body, which must end where the schema does."""
    fields, rest = _decode_fields(schema, body)
    if rest:
        raise ValueError(f"{len(rest)} bytes behind the last field")
    return fields


def _decode_fields(schema: Schema, body: bytes) -> tuple[list, bytes]:
    fields = []
    for kind in schema:
        field, body = _decode_field(kind, body)
        fields.append(field)
    return fields, body


def _decode_field(kind: "str | Schema", body: bytes) -> tuple[object, bytes]:
    if not isinstance(kind, str):
        (count,) = struct.unpack_from(">i", body)
        items, body = [], body[4:]
        for _ in range(count):
            item, body = _decode_fields(kind, body)
            items.append(item)
        return items, body
    if kind in "sB":
        length_format = ">h" if kind == "s" else ">i"
        size = struct.calcsize(length_format)
        (length,) = struct.unpack_from(length_format, body)
        if length < 0:
            return None, body[size:]
        raw = body[size : size + length]
        if len(raw) != length:
            raise ValueError(f"{len(raw)} bytes left of {length}")
        return raw.decode() if kind == "s" else raw, body[size + length :]
    (number,) = struct.unpack_from(">" + kind, body)
    return number, body[struct.calcsize(">" + kind) :]


def parse_api_versions_v0(body: bytes) -> tuple[int, dict[int, ApiRange]]:
    """The error code and the table of an ApiVersions response, version 0."""
    error_code, count = struct.unpack_from(">hi", body)
    entries = struct.iter_unpack(">hhh", body[6 : 6 + 6 * count])
    return error_code, {key: ApiRange(low, high) for key, low, high in entries}


def api_versions(port: int, timeout_s: float = 10.0) -> dict[int, ApiRange]:
    """Asks the broker on 127.0.0.1:`port` what it serves; the probe every client starts with."""
    with Connection(port, timeout_s) as connection:
        connection.send(API_VERSIONS, 0, 1)
        correlation_id, body = connection.receive()
    if correlation_id != 1:
        raise ConnectionError(f"asked with correlation id 1, answered with {correlation_id}")
    error_code, ranges = parse_api_versions_v0(body)
    if error_code != ERROR_NONE:
        raise ConnectionError(f"ApiVersions v0 answered with error {error_code}")
    return ranges
