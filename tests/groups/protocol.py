"""The requests of group members written by hand, each in one version, with every field open to lies."""

import struct
from typing import NamedTuple

from clients import wire
from clients.wire import array, nullable_bytes, string

FIND_COORDINATOR_VERSION = 2
JOIN_VERSION = 5
SYNC_VERSION = 3
HEARTBEAT_VERSION = 3
COMMIT_VERSION = 7
FETCH_VERSION = 5
# The first flexible version of OffsetCommit.
LONG_COMMIT_VERSION = 8
CONSUMER_HEARTBEAT = 68
CONSUMER_HEARTBEAT_VERSION = 1

NONE = 0
UNKNOWN_TOPIC_OR_PARTITION = 3
OFFSET_METADATA_TOO_LARGE = 12
COORDINATOR_LOAD_IN_PROGRESS = 14
COORDINATOR_NOT_AVAILABLE = 15
NOT_COORDINATOR = 16
ILLEGAL_GENERATION = 22
INCONSISTENT_GROUP_PROTOCOL = 23
INVALID_GROUP_ID = 24
UNKNOWN_MEMBER_ID = 25
INVALID_SESSION_TIMEOUT = 26
REBALANCE_IN_PROGRESS = 27
MEMBER_ID_REQUIRED = 79
INVALID_REGULAR_EXPRESSION = 128

# A coordinator that is not there at the moment.
AWAY = frozenset({COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR})

GROUP_KEY = 0
PROTOCOL = "range"
SESSION_TIMEOUT_MS = 30_000
REBALANCE_TIMEOUT_MS = 60_000


class Identity(NamedTuple):
    """Who a member says it is."""

    group: str
    generation: int = -1
    member: str = ""


class Joined(NamedTuple):
    """An answer to JoinGroup."""

    error: int
    generation: int
    leader: str
    member: str
    members: list[str]


def find_coordinator(group: str) -> bytes:
    return string(group) + struct.pack(">b", GROUP_KEY)


def parse_find_coordinator(body: bytes) -> int:
    """The error."""
    _throttle, error, *_ = wire.decode("ihsisi", body)
    return error


def join(
    group: str,
    member: str = "",
    metadata: bytes = b"",
    protocol_type: str = "consumer",
    session_timeout_ms: int = SESSION_TIMEOUT_MS,
) -> bytes:
    """A body of JoinGroup."""
    body = string(group) + struct.pack(">ii", session_timeout_ms, REBALANCE_TIMEOUT_MS) + string(member) + string(None)
    return body + string(protocol_type) + array([string(PROTOCOL) + nullable_bytes(metadata)])


def parse_join(body: bytes) -> Joined:
    _throttle, error, generation, _protocol, leader, member, members = wire.decode(
        ["i", "h", "i", "s", "s", "s", ["s", "s", "B"]], body
    )
    return Joined(error, generation, leader, member, [one[0] for one in members])


def sync(who: Identity, assignments: dict[str, bytes]) -> bytes:
    """A body of SyncGroup; only a leader has assignments."""
    return _identity(who) + array(string(member) + nullable_bytes(own) for member, own in assignments.items())


def parse_sync(body: bytes) -> tuple[int, bytes]:
    """The error and the assignment."""
    _throttle, error, assignment = wire.decode("ihB", body)
    return error, assignment


def heartbeat(who: Identity) -> bytes:
    return _identity(who)


def parse_heartbeat(body: bytes) -> int:
    """The error."""
    _throttle, error = wire.decode("ih", body)
    return error


def commit(who: Identity, topic: str, offsets: dict[int, int], metadata: str = "") -> bytes:
    """A body of OffsetCommit; generation -1 without a member commits from outside."""
    partitions = [struct.pack(">iqi", index, offset, -1) + string(metadata) for index, offset in offsets.items()]
    return _identity(who) + array([string(topic) + array(partitions)])


def parse_commit(body: bytes) -> dict[int, int]:
    """The error of each partition."""
    _throttle, topics = wire.decode(["i", ["s", ["i", "h"]]], body)
    return {index: error for _topic, partitions in topics for index, error in partitions}


def long_commit(who: Identity, topic: str, partition: int, offset: int, metadata: str) -> bytes:
    """A body of OffsetCommit in its first flexible version, behind the tagged fields of the request's header."""
    one = struct.pack(">iqi", partition, offset, -1) + _compact(metadata) + b"\0"
    topics = _varint(2) + _compact(topic) + _varint(2) + one + b"\0"
    identity = _compact(who.group) + struct.pack(">i", who.generation) + _compact(who.member) + _compact(None)
    return b"\0" + identity + topics + b"\0"


def parse_long_commit(body: bytes) -> int:
    """The error of the one partition: the last field but for three empty sets of tags."""
    (error,) = struct.unpack_from(">h", body, len(body) - 5)
    return error


def fetch(group: str, topic: str, partitions: int) -> bytes:
    """A body of OffsetFetch for the first so many partitions."""
    return string(group) + array([string(topic) + array(struct.pack(">i", index) for index in range(partitions))])


def parse_fetch(body: bytes) -> tuple[int, dict[int, int]]:
    """The error and what is committed."""
    _throttle, topics, error = wire.decode(["i", ["s", ["i", "q", "i", "s", "h"]], "h"], body)
    rows = [row for _topic, partitions in topics for row in partitions]
    error = error or next((code for *_, code in rows if code), NONE)
    return error, {index: offset for index, offset, *_ in rows if offset >= 0}


def consumer_heartbeat(group: str, member: str, epoch: int, regex: str | None) -> bytes:
    """A body of ConsumerGroupHeartbeat that joins with a subscription by pattern, or changes to one."""
    body = b"\0" + _compact(group) + _compact(member) + struct.pack(">i", epoch)
    body += _compact(None) + _compact(None) + struct.pack(">i", REBALANCE_TIMEOUT_MS)
    # No topics by name; the assignor of the server's choice; nothing owned yet.
    return body + _varint(0) + _compact(regex) + _compact(None) + _varint(1) + b"\0"


def parse_consumer_heartbeat(body: bytes) -> int:
    """The error, behind the tagged fields of the response's header."""
    _throttle, error = struct.unpack_from(">ih", body, 1)
    return error


def _identity(who: Identity) -> bytes:
    return string(who.group) + struct.pack(">i", who.generation) + string(who.member) + string(None)


def _compact(text: str | None) -> bytes:
    """A nullable string of the flexible encoding."""
    if text is None:
        return _varint(0)
    raw = text.encode()
    return _varint(len(raw) + 1) + raw


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
