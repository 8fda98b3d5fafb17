"""What old clients send, byte by byte: everything is answered in their own version, and no socket is dropped."""

import struct
import time
import zlib

import pytest

from clients import wire
from clients.deadline import Deadline
from clients.harness import Broker
from clients.old_groups import OldMember, Versions
from clients.reading import create_topic
from clients.wire import Connection, array, decode, nullable_bytes, string

COORDINATOR_LOAD_IN_PROGRESS = 14
COORDINATOR_NOT_AVAILABLE = 15
ILLEGAL_GENERATION = 22
UNKNOWN_MEMBER_ID = 25
UNSUPPORTED_FOR_MESSAGE_FORMAT = 43
INVALID_RECORD = 87
COORDINATOR_DEADLINE_S = 30.0

METADATA_V0 = [["i", "s", "i"], ["h", "s", ["h", "i", "i", ["i"], ["i"]]]]
LIST_GROUPS_V0 = ["h", ["s", "s"]]
FIND_COORDINATOR_V0 = "hisi"
OFFSET_FETCH_V0 = [["s", ["i", "q", "s", "h"]]]
PRODUCE_ANSWERS = {
    0: [["s", ["i", "h", "q"]]],
    1: [["s", ["i", "h", "q"]], "i"],
    2: [["s", ["i", "h", "q", "q"]], "i"],
    3: [["s", ["i", "h", "q", "q"]], "i"],
}

# kafka-python up to 2.0 tries these from the newest broker down to the oldest and takes the first that is answered;
# behind each it sends a Metadata v0 on the same connection, to notice a closed socket.
LADDER = [
    pytest.param(wire.API_VERSIONS, b"", None, id="0.10-ApiVersions"),
    pytest.param(wire.LIST_GROUPS, b"", LIST_GROUPS_V0, id="0.9-ListGroups"),
    pytest.param(wire.FIND_COORDINATOR, string("kafka-python-default-group"), FIND_COORDINATOR_V0, id="0.8.2"),
    pytest.param(
        wire.OFFSET_FETCH,
        string("kafka-python-default-group") + array([]),
        OFFSET_FETCH_V0,
        id="0.8.1-OffsetFetch",
        # Kafka closes the connection.
        marks=pytest.mark.chronik_only,
    ),
    pytest.param(wire.METADATA, array([]), METADATA_V0, id="0.8.0-Metadata"),
]


@pytest.mark.parametrize(("key", "body", "schema"), LADDER)
def test_every_step_of_the_version_ladder_is_answered(broker: Broker, key: int, body: bytes, schema):
    with Connection(broker.port) as connection:
        connection.send(key, 0, 1, body)
        connection.send(wire.METADATA, 0, 2, array([]))
        first, answer = connection.receive()
        second, metadata = connection.receive()

    assert (first, second) == (1, 2)
    if schema is None:
        assert wire.parse_api_versions_v0(answer)[0] == wire.ERROR_NONE
    else:
        decode(schema, answer)
    brokers, _topics = decode(METADATA_V0, metadata)
    assert [port for _node, _host, port in brokers] == [broker.port]


def test_metadata_0_names_the_leader_of_a_topic(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic, partitions=2)
    with Connection(broker.port) as connection:
        connection.send(wire.METADATA, 0, 1, array([string(topic)]))
        _, body = connection.receive()

    ((node, _host, _port),), ((error, name, partitions),) = decode(METADATA_V0, body)
    assert (error, name) == (wire.ERROR_NONE, topic)
    assert sorted(partitions) == [[wire.ERROR_NONE, p, node, [[node]], [[node]]] for p in range(2)]


# What the handshakes of these clients need: for every API the newest version the client has.
NEWEST_OF_OLD_CLIENTS = {
    "kafkajs 2.2": {
        wire.PRODUCE: 7,
        wire.FETCH: 11,
        wire.LIST_OFFSETS: 3,
        wire.METADATA: 6,
        wire.OFFSET_COMMIT: 5,
        wire.OFFSET_FETCH: 4,
        wire.FIND_COORDINATOR: 2,
        wire.JOIN_GROUP: 5,
        wire.HEARTBEAT: 3,
        wire.LEAVE_GROUP: 3,
        wire.SYNC_GROUP: 3,
        wire.LIST_GROUPS: 3,
        wire.API_VERSIONS: 2,
    },
    "sarama at 2.0": {
        wire.PRODUCE: 6,
        wire.FETCH: 8,
        wire.LIST_OFFSETS: 3,
        wire.METADATA: 6,
        wire.OFFSET_COMMIT: 4,
        wire.OFFSET_FETCH: 4,
        wire.FIND_COORDINATOR: 2,
        wire.JOIN_GROUP: 3,
        wire.HEARTBEAT: 2,
        wire.LEAVE_GROUP: 2,
        wire.SYNC_GROUP: 2,
        wire.LIST_GROUPS: 2,
        wire.API_VERSIONS: 2,
    },
    "kafka-go 0.4": {
        wire.PRODUCE: 7,
        wire.FETCH: 10,
        wire.LIST_OFFSETS: 1,
        wire.METADATA: 1,
        wire.OFFSET_COMMIT: 2,
        wire.OFFSET_FETCH: 1,
        wire.FIND_COORDINATOR: 0,
        wire.JOIN_GROUP: 2,
        wire.HEARTBEAT: 0,
        wire.LEAVE_GROUP: 0,
        wire.SYNC_GROUP: 0,
        wire.API_VERSIONS: 0,
    },
}


@pytest.mark.parametrize("client", NEWEST_OF_OLD_CLIENTS)
def test_the_newest_versions_of_old_clients_are_served(broker: Broker, client: str):
    served = wire.api_versions(broker.port)
    for key, newest in NEWEST_OF_OLD_CLIENTS[client].items():
        assert served[key].min_version <= newest, f"API {key}: {client} has {newest}, served are {served[key]}"


def test_librdkafka_1_finds_what_it_takes_for_compression(broker: Broker):
    """It compresses only for a broker whose Produce begins at version 0, and asks for the others by exact version."""
    served = wire.api_versions(broker.port)

    assert served[wire.PRODUCE].min_version == 0
    for key, version in ((wire.PRODUCE, 7), (wire.FETCH, 4), (wire.METADATA, 2), (wire.FIND_COORDINATOR, 0)):
        assert served[key].min_version <= version <= served[key].max_version


# The versions with which clients run their groups. The first is that of brokers before 0.10, which Kafka gave up.
GROUPS = [
    pytest.param(Versions(0, 0, 0, 0, 0, 2, 1), id="0.9", marks=pytest.mark.chronik_only),
    pytest.param(Versions(0, 2, 0, 0, 0, 2, 1), id="kafka-go"),
    pytest.param(Versions(1, 3, 2, 2, 2, 4, 4), id="sarama-2.0"),
    pytest.param(Versions(2, 5, 3, 3, 3, 5, 4), id="kafkajs"),
    pytest.param(Versions(2, 5, 3, 3, 1, 7, 5), id="librdkafka-1"),
]


@pytest.mark.parametrize("versions", GROUPS)
def test_a_group_runs_in_the_versions_of_old_clients(broker: Broker, topic: str, versions: Versions):
    create_topic(broker.bootstrap, topic)
    subscription = struct.pack(">h", 0) + array([string(topic)]) + nullable_bytes(None)
    with Connection(broker.port) as connection:
        member = OldMember(connection, versions, f"group-of-{topic}")
        _wait_coordinator(member, broker.port)
        assert member.join(subscription) == wire.ERROR_NONE
        assert member.joined.leader == member.joined.member
        assert member.joined.members == [member.joined.member]
        assert member.sync(b"opaque to the broker") == (wire.ERROR_NONE, b"opaque to the broker")
        assert member.heartbeat() == wire.ERROR_NONE
        assert member.commit(topic, 42) == wire.ERROR_NONE
        assert member.fetch_offset(topic) == (wire.ERROR_NONE, 42, "old")
        assert member.leave() == wire.ERROR_NONE
        assert member.heartbeat() == UNKNOWN_MEMBER_ID
        assert member.commit(topic, 43) in (UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION)
        assert member.fetch_offset(topic) == (wire.ERROR_NONE, 42, "old")


def message_set(magic: int, value: bytes) -> bytes:
    """A message set of one message, in a format from before record batches."""
    timestamp = struct.pack(">q", 1_700_000_000_000) if magic == 1 else b""
    covered = struct.pack(">bb", magic, 0) + timestamp + nullable_bytes(None) + nullable_bytes(value)
    message = struct.pack(">I", zlib.crc32(covered)) + covered
    return struct.pack(">qi", 0, len(message)) + message


def produce(version: int, topic: str, records: bytes) -> bytes:
    transactional_id = string(None) if version >= 3 else b""
    partition = struct.pack(">i", 0) + nullable_bytes(records)
    return transactional_id + struct.pack(">hi", -1, 10_000) + array([string(topic) + array([partition])])


@pytest.mark.parametrize(
    ("version", "magic"),
    [
        # Kafka closes the connection of the first three.
        pytest.param(0, 0, marks=pytest.mark.chronik_only),
        pytest.param(1, 0, marks=pytest.mark.chronik_only),
        pytest.param(2, 1, marks=pytest.mark.chronik_only),
        (3, 0),
        (3, 1),
    ],
)
def test_a_message_set_gets_a_refusal_its_client_can_read(broker: Broker, topic: str, version: int, magic: int):
    create_topic(broker.bootstrap, topic)
    with Connection(broker.port) as connection:
        connection.send(wire.PRODUCE, version, 1, produce(version, topic, message_set(magic, b"old")))
        correlation_id, body = connection.receive()
        connection.send(wire.METADATA, 0, 2, array([string(topic)]))
        following, _ = connection.receive()

    assert (correlation_id, following) == (1, 2)
    ((name, ((partition, error, offset, *_times),)),) = decode(PRODUCE_ANSWERS[version], body)[0]
    assert (name, partition, offset) == (topic, 0, -1)
    # Errors that no client repeats.
    assert error in (UNSUPPORTED_FOR_MESSAGE_FORMAT, INVALID_RECORD)


# Versions that were served by brokers of long ago and are no longer, here nor in Kafka.
GIVEN_UP = [
    (wire.FETCH, 1, struct.pack(">iii", -1, 0, 1) + array([])),
    (wire.FETCH, 3, struct.pack(">iiii", -1, 0, 1, 1) + array([])),
    (wire.LIST_OFFSETS, 0, struct.pack(">i", -1) + array([])),
    (wire.OFFSET_FETCH, 0, string("group") + array([])),
    (wire.OFFSET_COMMIT, 1, string("group") + struct.pack(">i", -1) + string("") + array([])),
]


@pytest.mark.chronik_only
@pytest.mark.parametrize(("key", "version", "body"), GIVEN_UP)
def test_a_version_that_was_given_up_is_answered(broker: Broker, key: int, version: int, body: bytes):
    with Connection(broker.port) as connection:
        connection.send(key, version, 1, body)
        connection.send(wire.API_VERSIONS, 0, 2)
        answered = [connection.receive()[0] for _ in range(2)]

    assert answered == [1, 2]


def _wait_coordinator(member: OldMember, port: int) -> None:
    """Clients repeat the question while the coordinator starts."""
    deadline = Deadline(COORDINATOR_DEADLINE_S)
    while True:
        error, found = member.find_coordinator()
        if error == wire.ERROR_NONE:
            assert found == port
            return
        assert error in (COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE), f"error {error}"
        deadline.check("a coordinator")
        time.sleep(0.05)
